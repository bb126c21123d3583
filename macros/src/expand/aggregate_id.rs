//! The code of `#[derive(AggregateId)]`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use crate::ast::Newtype;

/// The impl, which leaves everything to the type inside, and that of a column, which is its text.
pub(crate) fn expand(newtype: &Newtype) -> TokenStream {
    let Newtype { ident, es_core: es, ty } = newtype;
    // the span makes a type inside that is no id the place of the error
    let inner = quote_spanned!(ty.span()=> <#ty as #es::AggregateId>);
    quote! {
        #[automatically_derived]
        impl #es::AggregateId for #ident {
            fn to_text(&self) -> ::std::string::String {
                #inner::to_text(&self.0)
            }

            fn parse(
                text: &str,
            ) -> ::core::result::Result<Self, #es::execution::InvalidAggregateId> {
                ::core::result::Result::map(#inner::parse(text), Self)
            }
        }

        #[automatically_derived]
        impl #es::projection::SqlColumn for #ident {
            const TYPE: #es::projection::SqlType = #es::projection::SqlType::Text;

            fn into_value(self) -> #es::projection::SqlValue {
                #es::projection::SqlValue::Text(<Self as #es::AggregateId>::to_text(&self))
            }

            fn from_value(
                value: #es::projection::SqlValue,
            ) -> ::core::result::Result<Self, #es::projection::RowError> {
                #es::__private::id_of_column(value)
            }
        }
    }
}
