//! The contract suite is tested itself: every saboteur is caught, and every scenario catches one.

#[path = "saboteurs/clauses.rs"]
mod clauses;
#[path = "saboteurs/matrix.rs"]
mod matrix;
#[path = "saboteurs/overlapping.rs"]
mod overlapping;
#[path = "saboteurs/respelled.rs"]
mod respelled;
#[path = "saboteurs/slow.rs"]
mod slow;
#[path = "support/matrix.rs"]
mod support;
