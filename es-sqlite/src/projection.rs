//! The store as a place for the models of projections.

mod commit;
mod inline;
mod model;
mod read;
mod retired;
mod row;
mod sink;
mod tables;

pub(crate) use inline::Inline;
