//! Servers, clients and connections that are killed or cut in the middle of appends, judged by the
//! history checker: nothing acknowledged is lost, nothing is there twice after a retry with its key,
//! no append is torn.
#![allow(clippy::print_stdout, reason = "a campaign prints what it did")]

mod clients;
mod cuts;
mod servers;
mod storm;
mod transactions;

/// The seed of this run, told so that it can be given again.
pub(crate) fn seed() -> u64 {
    let seed = es_testing::suite::seed();
    println!("ES_SEED={seed}");
    seed
}
