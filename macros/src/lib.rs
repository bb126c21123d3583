//! Derive macros of es-core; use them through es-core
use proc_macro::TokenStream;
/// placeholder
#[proc_macro_derive(Event, attributes(event, serde))]
pub fn event(_: TokenStream) -> TokenStream {
    TokenStream::new()
}
/// placeholder
#[proc_macro_derive(AggregateId)]
pub fn aggregate_id(_: TokenStream) -> TokenStream {
    TokenStream::new()
}
