//! What stands in for a refused derive, so that one true error is shown and not its consequences.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, parse_quote};

use crate::attr::{EnumAttrs, TableAttrs, crate_of_id};
use crate::errors::Errors;

/// The errors, and an `Event` without kinds.
pub(crate) fn event(input: &DeriveInput, error: &syn::Error) -> TokenStream {
    // what is wrong there was told
    let es = EnumAttrs::read(&input.attrs, &mut Errors::default()).es_core;
    let body = quote! {
        const TYPES: &'static [#es::event::EventType] = &[];

        fn event_type(&self) -> &'static #es::event::EventType {
            ::core::unreachable!()
        }

        fn encode(
            &self,
            _: &mut #es::event::Metadata,
        ) -> ::core::result::Result<#es::event::Payload, #es::event::EncodeError> {
            ::core::unreachable!()
        }

        fn decode(
            _: #es::event::StoredEvent<'_>,
        ) -> ::core::result::Result<#es::event::Decoded<Self>, #es::event::DecodeError> {
            ::core::unreachable!()
        }
    };
    implement(input, error, &quote!(#es::Event), &body)
}

/// The errors, and an `AggregateId` of which there is no text.
pub(crate) fn aggregate_id(input: &DeriveInput, error: &syn::Error) -> TokenStream {
    let es = crate_of_id(&input.attrs, &mut Errors::default());
    let body = quote! {
        fn to_text(&self) -> ::std::string::String {
            ::core::unreachable!()
        }

        fn parse(
            _: &str,
        ) -> ::core::result::Result<Self, #es::execution::InvalidAggregateId> {
            ::core::unreachable!()
        }
    };
    implement(input, error, &quote!(#es::AggregateId), &body)
}

/// The errors, and a `TableRow` of which there are no values.
pub(crate) fn table_row(input: &DeriveInput, error: &syn::Error) -> TokenStream {
    let es = TableAttrs::read(&input.attrs, &mut Errors::default()).es_core;
    let body = quote! {
        const SCHEMA: #es::projection::TableSchema =
            #es::projection::TableSchema { name: "", columns: &[], indexes: &[] };
        type Key = ();

        fn into_values(self) -> ::std::vec::Vec<#es::projection::SqlValue> {
            ::core::unreachable!()
        }

        fn from_values(
            _: ::std::vec::Vec<#es::projection::SqlValue>,
        ) -> ::core::result::Result<Self, #es::projection::RowError> {
            ::core::unreachable!()
        }
    };
    implement(input, error, &quote!(#es::projection::TableRow), &body)
}

fn implement(
    input: &DeriveInput,
    error: &syn::Error,
    name: &TokenStream,
    body: &TokenStream,
) -> TokenStream {
    let (error, ident) = (error.to_compile_error(), &input.ident);
    let mut generics = input.generics.clone();
    if !generics.params.is_empty() {
        let bounds = parse_quote!(Self: ::core::marker::Send + ::core::marker::Sync + 'static);
        generics.make_where_clause().predicates.push(bounds);
    }
    let (parameters, arguments, bounds) = generics.split_for_impl();
    quote! {
        #error

        #[automatically_derived]
        impl #parameters #name for #ident #arguments #bounds {
            #body
        }
    }
}
