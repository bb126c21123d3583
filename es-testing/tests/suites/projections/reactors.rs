//! The scenarios of reactions against what has reactions called wrongly.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use es_core::Store;
use es_core::backend::{
    Batch, Claim, Lease, ModelRow, ProjectionSink, Renewal, Renewed, SinkError, Slot,
};
use es_core::layer::{LayeredSink, SinkLayer};
use es_core::projection::{FailurePolicy, LastResort};
use es_core::reaction::Start;
use es_testing::projections::reactions::{Bend, Engine, OVER_ANY, Reacting, Reactors, Subject};

use super::Kept;
use crate::matrix::side_by_side;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sin {
    /// How the reaction is called.
    Bent(Bend),
    /// It begins with what comes whenever it starts.
    NowAtEachStart,
    /// It decides at each start where to begin.
    RecordsNoStart,
    /// A call that does not end holds up all streams.
    OneAtATime,
    /// It starts all that it has read.
    AllAtOnce,
    /// It waits for a call for ever.
    NeverDrops,
    /// It tries what fails, however long that takes, before all else.
    SetsNothingAside,
    /// Others do not keep it out.
    TakesNoLease,
    /// It neither keeps its lease nor hears of what is to be tried again.
    NeverRenews,
    /// It parks again what was discarded meanwhile.
    UndoesDiscards,
    /// Its place is that of one version of its code, as a projection's is.
    BelongsToItsCode,
}

/// Each with the scenarios that catch it.
const SINS: &[(Sin, &[&str])] = &[
    (Sin::Bent(Bend::AnswersAtOnce), &["a_stream_is_in_order"]),
    (
        Sin::Bent(Bend::SwallowsFailures),
        &["a_failing_event_is_parked_and_retried", "health_tells_the_truth"],
    ),
    (Sin::Bent(Bend::Twice), &["a_second_command_on_a_stream_needs_a_step"]),
    (Sin::Bent(Bend::Invents), &["what_is_not_committed_is_not_given"]),
    (Sin::Bent(Bend::KeyOfTheCall), &["keyed_commands_are_done_once"]),
    (
        Sin::NowAtEachStart,
        &["every_event_is_given_after_any_cut", "a_checkpoint_follows_the_effect"],
    ),
    (Sin::RecordsNoStart, &["the_start_is_recorded", "now_on_an_empty_log"]),
    (Sin::OneAtATime, &["other_streams_go_on", "a_stream_goes_on_while_another_hangs"]),
    (Sin::AllAtOnce, &["calls_are_bounded"]),
    (Sin::NeverDrops, &["a_hanging_call_is_dropped"]),
    (Sin::SetsNothingAside, &["what_fails_for_long_holds_up_no_other"]),
    (Sin::TakesNoLease, &["two_runners_take_turns"]),
    (Sin::NeverRenews, &["a_long_call_keeps_its_lease", "a_discarded_event_is_not_given"]),
    (Sin::UndoesDiscards, &["a_discard_outlasts_an_attempt"]),
    (Sin::BelongsToItsCode, &["a_rebuild_repeats_nothing", "other_code_goes_on"]),
];

/// The engine, misled.
struct Misled(Sin);

/// What misleads it about what the store keeps.
struct Lying {
    inner: Arc<dyn ProjectionSink>,
    sin: Sin,
    is_narrow: bool,
}

#[async_trait]
impl SinkLayer for Lying {
    fn inner(&self) -> &Arc<dyn ProjectionSink> {
        &self.inner
    }

    async fn acquire(&self, claim: &Claim) -> Result<Lease, SinkError> {
        let mut claim = claim.clone();
        match self.sin {
            Sin::TakesNoLease => claim.holder = "everybody".to_owned(),
            Sin::BelongsToItsCode => claim.fingerprint = format!("v1 [{}]", self.is_narrow),
            _ => {}
        }
        self.inner.acquire(&claim).await
    }

    async fn renew(&self, lease: &Lease, renewal: &Renewal) -> Result<Renewed, SinkError> {
        match self.sin {
            Sin::NeverRenews => Ok(Renewed::default()),
            _ => self.inner.renew(lease, renewal).await,
        }
    }

    async fn commit(&self, lease: &Lease, batch: &Batch) -> Result<(), SinkError> {
        let mut batch = batch.clone();
        if self.sin == Sin::UndoesDiscards {
            batch.unpark.retain(|id| batch.park.iter().all(|entry| entry.id() != *id));
        }
        self.inner.commit(lease, &batch).await
    }

    async fn load(
        &self,
        projection: &str,
        slot: Slot,
        keys: &[String],
    ) -> Result<Vec<ModelRow>, SinkError> {
        match self.sin {
            Sin::NowAtEachStart | Sin::RecordsNoStart => Ok(Vec::new()),
            _ => self.inner.load(projection, slot, keys).await,
        }
    }
}

#[async_trait]
impl Reactors for Misled {
    async fn attend(
        &self,
        store: &Store,
        holder: &str,
        subject: Subject,
        is_to_stay: bool,
    ) -> Result<(), String> {
        let subject = match self.0 {
            Sin::Bent(bend) => subject.bent(bend),
            Sin::NowAtEachStart => subject.starting(Start::Now),
            Sin::OneAtATime => subject.policy(|policy| policy.concurrency(1)),
            Sin::AllAtOnce => subject.policy(|policy| policy.concurrency(usize::MAX)),
            Sin::NeverDrops => subject.policy(|policy| policy.timeout(Duration::MAX)),
            Sin::SetsNothingAside => subject.policy(|policy| {
                policy.on_failure(FailurePolicy { then: LastResort::Stop, ..policy.failure })
            }),
            _ => subject,
        };
        let inner = store.capabilities().models.clone().expect("the fixture keeps models");
        let lying = Lying { inner, sin: self.0, is_narrow: subject.is_narrow() };
        let store = store.clone().with_models(Arc::new(LayeredSink(lying)));
        Engine.attend(&store, holder, subject, is_to_stay).await
    }
}

/// Whether the scenario ends well.
async fn is_kept(scenario: &'static Reacting, reactors: impl Reactors + 'static) -> bool {
    let mut task = tokio::spawn(async move {
        let fixture = Kept::new();
        (scenario.run)(&fixture, &reactors).await;
    });
    let ended = tokio::time::timeout(Duration::from_secs(3), &mut task).await;
    task.abort();
    matches!(ended, Ok(Ok(())))
}

fn named(name: &str) -> &'static Reacting {
    let found = OVER_ANY.iter().find(|scenario| scenario.name == name);
    found.unwrap_or_else(|| panic!("there is no scenario {name}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_reactions_called_wrongly_is_caught() {
    let each = SINS.iter().flat_map(|(sin, names)| names.iter().map(move |name| (*sin, *name)));
    let tried =
        each.map(|(sin, name)| async move { (sin, name, is_kept(named(name), Misled(sin)).await) });
    for (sin, name, is_kept) in side_by_side(tried).await {
        assert!(!is_kept, "{name} does not catch {sin:?}");
    }
}

#[test]
fn every_scenario_of_reactions_catches_one() {
    let catching: BTreeSet<_> = SINS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    let all: BTreeSet<_> = OVER_ANY.iter().map(|scenario| scenario.name).collect();
    assert_eq!(catching, all);
}
