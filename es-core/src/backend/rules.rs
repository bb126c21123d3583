//! What backends decide alike, as functions over values: a backend reads what it has, asks, and
//! stores the answer in the same transaction.
//!
//! Nothing here waits, reads or writes. A database that judges by itself must agree.
//!
//! ```
//! use es_core::backend::rules::{Acquired, Models};
//! use es_core::backend::{Claim, Lease, SinkError, Timestamp};
//!
//! struct Kept { models: Models, newest_generation: u64 }
//!
//! impl Kept {
//!     fn acquire(&mut self, claim: &Claim, now: Timestamp) -> Result<Lease, SinkError> {
//!         let model = match self.models.acquire(claim, now)? {
//!             Acquired::Taken(model) => model,
//!             Acquired::Created { mut model, .. } => {
//!                 self.newest_generation += 1;
//!                 model.generation = self.newest_generation;
//!                 model
//!             }
//!         };
//!         let lease = model.lease(claim);
//!         *self.models.slot_mut(claim.slot) = Some(model);
//!         Ok(lease)
//!     }
//! }
//! ```

mod inline;
mod keys;
mod lease;
mod model;

pub use inline::{inline_failure, inline_refusal};
pub use keys::{KeyVerdict, RecordedRequest, judge_key, whole_result};
pub use lease::Acquired;
pub use model::{Model, Models, Switched};
