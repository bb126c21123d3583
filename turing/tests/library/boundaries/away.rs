//! A store that is away for a time, whatever it is asked for when that begins.

use std::time::Duration;

use es_core::environment::{Environment, Jitter};
use turing::run::Report;
use turing_domain::{ConversationId, FailureType};

use super::*;
use crate::support::jumping::Jumping;

/// How many calls in a row fail: more than any command is tried before it is given up.
const ABSENCE: usize = 40;

/// A store that is away from its nth call on, for so many calls.
struct Away {
    inner: Arc<dyn EventStore>,
    calls: AtomicUsize,
    nth: usize,
    /// Whether an append that is the nth call is written.
    death: Death,
}

impl Away {
    fn next(&self) -> Result<(), StoreError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        match (self.nth..self.nth + ABSENCE).contains(&call) {
            true => Err(StoreError::new(StoreErrorKind::Unavailable, "the server restarts")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl StoreLayer for Away {
    fn inner(&self) -> &Arc<dyn EventStore> {
        &self.inner
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let is_nth = self.calls.load(Ordering::SeqCst) == self.nth;
        match self.next() {
            Ok(()) => self.inner.append(request).await,
            Err(_) if is_nth && self.death == Death::After => {
                self.inner.append(request).await?;
                let text = "the server restarts, and has not answered";
                Err(StoreError::new(StoreErrorKind::OutcomeUnknown, text).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn find_append(
        &self,
        stream: &StreamId,
        key: &IdempotencyKey,
    ) -> Result<Option<Appended>, StoreError> {
        self.next()?;
        self.inner.find_append(stream, key).await
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        self.next()?;
        self.inner.read_stream(read).await
    }
}

/// Counts how often it is told that the store is away.
#[derive(Default)]
struct Told(usize);

impl Observer for Told {
    fn store_away(&mut self, reason: &str, _: Duration) {
        assert!(reason.contains("the server restarts"), "{reason}");
        self.0 += 1;
    }
}

/// No command waits before it is tried again.
#[derive(Debug)]
struct AtOnce;

impl Jitter for AtOnce {
    fn fraction(&self) -> f64 {
        0.0
    }
}

/// What was attempted: what completed, and what failed how often.
type Attempts = Vec<(ConversationId, usize, BTreeMap<FailureType, usize>)>;

async fn finish(scene: &Scene, events: Arc<dyn EventStore>) -> (Report, Attempts, Told) {
    let mut told = Told::default();
    let environment = Environment::default().with_jitter(AtOnce);
    let options = RunOptions { environment, timer: Jumping::new(), ..one_by_one() };
    match scene.try_run(events, options, &mut told).await {
        Ok(RunOutcome::Finished(report)) => {
            let conversations = report.conversations.iter();
            let attempts =
                conversations.map(|(id, done)| (*id, done.completed, done.failed.clone()));
            let attempts = attempts.collect();
            (report, attempts, told)
        }
        other => panic!("{other:?}"),
    }
}

/// No call of an open breaker's actor is let through before the one before it has ended.
fn check_claims(log: &[RecordedEvent]) {
    let of_actors = log.iter().filter(|event| event.stream.aggregate_type() == "actor");
    let names: Vec<_> = of_actors.map(|event| event.event_type.as_str()).collect();
    assert!(names.contains(&"circuit_breaker_half_opened"), "{names:?}");
    for pair in names.windows(2) {
        assert_ne!(pair, ["circuit_breaker_half_opened"; 2], "{names:?}");
    }
}

#[tokio::test]
async fn a_store_that_is_away_for_a_time_from_any_call_on_changes_nothing_campaign() {
    let is_full = std::env::var_os("ES_CAMPAIGN").is_some_and(|campaign| campaign == "full");
    let scene = Scene::new();
    let undisturbed = Arc::new(MemoryStore::new());
    let (report, attempts, told) = finish(&scene, undisturbed.clone()).await;
    assert_eq!((report.open, report.postings, told.0), (0, 2, 0), "{report:?}");
    let (expected, names) = (ending(&undisturbed).await, names_of(&log(&undisturbed).await));

    let mut absences = 0;
    for death in [Death::Before, Death::After] {
        for nth in (0..).step_by(if is_full { 1 } else { 3 }) {
            let memory = Arc::new(MemoryStore::new());
            let away = Away { inner: memory.clone(), calls: AtomicUsize::new(0), nth, death };
            let away = Arc::new(Layered(away));
            let (report, made, told) = finish(&scene, away.clone()).await;
            let what = format!("{death:?}, away from call {nth} on");
            if away.0.calls.load(Ordering::SeqCst) <= nth {
                assert_eq!(told.0, 0);
                break;
            }
            absences += 1;
            assert!(told.0 > 0, "{what}: it is not told");
            assert_eq!((report.postings, report.open), (2, 0), "{what}");
            assert_eq!(made, attempts, "{what}");
            assert_eq!(ending(&memory).await, expected, "{what}");
            let log = log(&memory).await;
            check_log(&log);
            check_claims(&log);
            assert_eq!(names_of(&log), names, "{what}");
        }
    }
    println!("{absences} absences");
    assert!(absences > 40, "only {absences} absences were tried");
}
