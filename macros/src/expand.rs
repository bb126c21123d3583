//! From a checked input to the generated code.

mod aggregate_id;
mod event;

use proc_macro2::TokenStream;
use syn::DeriveInput;

use crate::ast::{EventEnum, Newtype};
use crate::errors::Errors;
use crate::valid;

/// The `Event` of an enum.
pub(crate) fn event(input: &DeriveInput) -> syn::Result<TokenStream> {
    let mut errors = Errors::default();
    valid::no_generics(input, "an enum of events", &mut errors);
    let events = EventEnum::read(input, &mut errors);
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
