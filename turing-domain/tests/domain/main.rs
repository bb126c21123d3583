//! Laws of the aggregates, over generated histories, and the names that are stored.

mod laws;
mod names;
mod posting_laws;
