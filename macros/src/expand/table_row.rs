//! The code of `#[derive(TableRow)]`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use crate::ast::{Column, Table};

/// The impl: what the table is like, and each field as the value of its column.
pub(crate) fn expand(table: &Table) -> TokenStream {
    let Table { ident, es_core: es, name, columns, indexes } = table;
    // the span makes a field whose type is no column the place of the error
    let column = |ty: &syn::Type| quote_spanned!(ty.span()=> <#ty as #es::projection::SqlColumn>);
    let schema = columns.iter().map(|Column { name, ty, is_key, .. }| {
        let column = column(ty);
        quote!(#es::projection::Column {
            name: #name,
            sql_type: #column::TYPE,
            is_key: #is_key,
            is_nullable: #column::IS_NULLABLE,
            range: #column::RANGE,
        })
    });
    let indexes = indexes.iter().map(|index| {
        let names = index.iter().map(|column| column.unraw().to_string());
        quote!(&[#(#names),*])
    });
    let keys = columns.iter().filter(|column| column.is_key).map(|column| &column.ty);
    let keys: Vec<_> = keys.collect();
    let key = match &keys[..] {
        [one] => quote!(#one),
        several => quote!((#(#several),*)),
    };
    let values = columns.iter().map(|Column { ident, ty, .. }| {
        let column = column(ty);
        quote!(#column::into_value(self.#ident))
    });
    let fields = columns.iter().map(|Column { ident, name, ty, .. }| {
        let column = column(ty);
        quote!(#ident: #es::__private::column(&mut values, #name, #column::from_value)?)
    });
    quote! {
        #[automatically_derived]
        impl #es::projection::TableRow for #ident {
            const SCHEMA: #es::projection::TableSchema = #es::projection::TableSchema {
                name: #name,
                columns: &[#(#schema),*],
                indexes: &[#(#indexes),*],
            };
            type Key = #key;

            fn into_values(self) -> ::std::vec::Vec<#es::projection::SqlValue> {
                ::std::vec![#(#values),*]
            }

            fn from_values(
                values: ::std::vec::Vec<#es::projection::SqlValue>,
            ) -> ::core::result::Result<Self, #es::projection::RowError> {
                let mut values = ::std::iter::IntoIterator::into_iter(values);
                ::core::result::Result::Ok(Self { #(#fields),* })
            }
        }
    }
}
