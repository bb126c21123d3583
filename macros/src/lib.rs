//! Implementation detail of es-core, which re-exports these derives and documents how to use them.

mod ast;
mod attr;
mod errors;
mod expand;
mod fallback;
mod tense;
mod valid;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes an enum the events of an aggregate: stored names, schema versions, encoding, decoding.
#[proc_macro_derive(Event, attributes(event, serde))]
pub fn event(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::event(&input)
        .unwrap_or_else(|error| fallback::event(&input, &error))
        .into()
}

/// Makes a newtype the id of an aggregate, with the text of the id in it.
#[proc_macro_derive(AggregateId)]
pub fn aggregate_id(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::aggregate_id(&input)
        .unwrap_or_else(|error| fallback::aggregate_id(&input, &error))
        .into()
}
