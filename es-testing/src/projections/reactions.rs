//! Reactions: given at least once, in order, and never by a rebuild.
//!
//! The scenarios run over whatever has reactions called. A sink's suite runs them over the engine;
//! kinds of it that are wrong are caught by them.

use async_trait::async_trait;
use es_core::execution::Retry;
use es_core::reaction::Start;
use es_core::{Runner, Store};
use futures_util::future::BoxFuture;

use super::ProjectionFixture;
use super::models::no_delay;

mod effects;
mod given;
mod kept;
mod subject;

pub use subject::{Bend, Subject};
use subject::{FromBeginning, FromNow, Narrow};

/// What has a reaction called: the engine, or something that does it wrong.
#[async_trait]
pub trait Reactors: Send + Sync {
    /// Has the subject called for all there is, as this holder; or, if it is to stay, until it is
    /// dropped, for what comes, too.
    async fn attend(
        &self,
        store: &Store,
        holder: &str,
        subject: Subject,
        is_to_stay: bool,
    ) -> Result<(), String>;
}

/// A runner.
#[derive(Debug)]
pub struct Engine;

#[async_trait]
impl Reactors for Engine {
    async fn attend(
        &self,
        store: &Store,
        holder: &str,
        subject: Subject,
        is_to_stay: bool,
    ) -> Result<(), String> {
        let backoff = Retry { retries: u32::MAX, ..no_delay(0) };
        let runner = Runner::new(store).holder(holder).lease(subject.lease()).backoff(backoff);
        let mut runner = match (subject.is_narrow(), subject.start()) {
            (true, _) => runner.reaction(Narrow(subject)),
            (false, Start::Now) => runner.reaction(FromNow(subject)),
            (false, Start::Beginning) => runner.reaction(FromBeginning(subject)),
        };
        let ended = if is_to_stay { runner.run().await } else { runner.catch_up().await };
        ended.map_err(|error| error.to_string())
    }
}

/// A scenario over whatever has reactions called.
#[derive(Debug)]
pub struct Reacting {
    /// As among [`SCENARIOS`](super::SCENARIOS).
    pub name: &'static str,
    /// Runs it.
    pub run: for<'a> fn(&'a dyn ProjectionFixture, &'a dyn Reactors) -> BoxFuture<'a, ()>,
}

macro_rules! scenarios {
    ($($file:ident { $($name:ident,)+ })+) => {
        $($(
            pub(super) async fn $name(fixture: &dyn ProjectionFixture) {
                $file::$name(fixture, &Engine).await;
            }
        )+)+

        /// The scenarios, to be run over something else than the engine.
        pub static OVER_ANY: &[Reacting] = &[$($(
            Reacting {
                name: stringify!($name),
                run: |fixture, reactors| Box::pin($file::$name(fixture, reactors)),
            },
        )+)+];
    };
}

scenarios! {
    given {
        every_event_is_given_after_any_cut,
        what_is_not_committed_is_not_given,
        a_stream_is_in_order,
        other_streams_go_on,
        a_stream_goes_on_while_another_hangs,
        what_fails_for_long_holds_up_no_other,
        calls_are_bounded,
        the_start_is_recorded,
        now_on_an_empty_log,
    }
    effects {
        keyed_commands_are_done_once,
        a_second_command_on_a_stream_needs_a_step,
        a_failing_event_is_parked_and_retried,
        a_discarded_event_is_not_given,
        a_discard_outlasts_an_attempt,
        a_hanging_call_is_dropped,
    }
    kept {
        a_checkpoint_follows_the_effect,
        two_runners_take_turns,
        a_long_call_keeps_its_lease,
        health_tells_the_truth,
        a_rebuild_repeats_nothing,
        other_code_goes_on,
    }
}
