//! From a checked input to the generated code.

mod aggregate_id;
mod event;
mod table_row;
mod union;

use proc_macro2::TokenStream;
use syn::DeriveInput;

use crate::ast::{EventEnum, EventUnion, Newtype, Table};
use crate::attr::EnumAttrs;
use crate::errors::Errors;
use crate::valid;

/// The `Event` of an enum or of a union.
pub(crate) fn event(input: &DeriveInput) -> syn::Result<TokenStream> {
    let mut errors = Errors::default();
    valid::no_generics(input, "an enum of events", &mut errors);
    let attrs = EnumAttrs::read(&input.attrs, &mut errors);
    if attrs.union {
        let union = EventUnion::read(input, attrs.es_core, &mut errors);
        if let Some(union) = &union {
            valid::union(union, &mut errors);
        }
        let union = errors.finish(union)?;
        return Ok(union.map(|union| union::expand(&union)).unwrap_or_default());
    }
    let events = EventEnum::read(input, attrs, &mut errors);
    if let Some(events) = &events {
        valid::events(events, &mut errors);
    }
    let events = errors.finish(events)?;
    Ok(events.map(|events| event::expand(&events)).unwrap_or_default())
}

/// The `AggregateId` of a newtype.
pub(crate) fn aggregate_id(input: &DeriveInput) -> syn::Result<TokenStream> {
    let mut errors = Errors::default();
    valid::no_generics(input, "an aggregate's id", &mut errors);
    let newtype = Newtype::read(input, &mut errors);
    let newtype = errors.finish(newtype)?;
    Ok(newtype.map(|newtype| aggregate_id::expand(&newtype)).unwrap_or_default())
}

/// The `TableRow` of a struct.
pub(crate) fn table_row(input: &DeriveInput) -> syn::Result<TokenStream> {
    let mut errors = Errors::default();
    valid::no_generics(input, "a row of a table", &mut errors);
    let table = Table::read(input, &mut errors);
    if let Some(table) = &table {
        valid::table(table, &mut errors);
    }
    let table = errors.finish(table)?;
    Ok(table.map(|table| table_row::expand(&table)).unwrap_or_default())
}
