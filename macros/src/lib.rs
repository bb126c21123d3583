#![doc = include_str!("../README.md")]
#![allow(missing_docs, reason = "es-core documents the derives, where it exports them")]

mod ast;
mod attr;
mod errors;
mod expand;
mod fallback;
mod path;
mod tense;
mod valid;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

#[proc_macro_derive(Event, attributes(event, serde))]
pub fn event(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::event(&input).unwrap_or_else(|error| fallback::event(&input, &error)).into()
}

#[proc_macro_derive(AggregateId, attributes(aggregate_id))]
pub fn aggregate_id(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::aggregate_id(&input)
        .unwrap_or_else(|error| fallback::aggregate_id(&input, &error))
        .into()
}

#[proc_macro_derive(TableRow, attributes(table))]
pub fn table_row(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::table_row(&input).unwrap_or_else(|error| fallback::table_row(&input, &error)).into()
}
