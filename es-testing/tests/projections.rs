//! The suite of projections is tested itself: every saboteur is caught, and every scenario catches
//! one or has a reason why none can be caught by it.

#[path = "projections/clauses.rs"]
mod clauses;
#[path = "projections/matrix.rs"]
mod matrix;
#[path = "projections/reactors.rs"]
mod reactors;
#[path = "support/matrix.rs"]
mod support;
