//! A store in a file that another program holds: it is named, waited for, and no result is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use es_core::backend::{AppendError, AppendRequest, EventStore};
use es_core::event::{EventFilter, EventStoreExt, ReadLog};
use es_core::execution::{Appended, StoreError, StoreErrorKind};
use es_core::layer::{Layered, StoreLayer};
use futures_util::TryStreamExt;
use tokio::sync::watch;
use turing::run::{Observer, RunError, RunOptions, RunOutcome};
use turing::store::{Access, Store, StoreUrl};
use turing_domain::{ConversationEvent, PostingId};

use crate::support::Workspace;
use crate::support::jumping::Jumping;
use crate::support::within::options;

const POSTINGS: usize = 4;

/// A file that is held from the first result on, as long as it is.
struct Held {
    inner: Arc<dyn EventStore>,
    is_held: Arc<AtomicBool>,
    /// How many appends were made to postings: first they enter.
    appends: AtomicUsize,
}

#[async_trait]
impl StoreLayer for Held {
    fn inner(&self) -> &Arc<dyn EventStore> {
        &self.inner
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let is_of_posting =
            request.streams().iter().any(|batch| batch.stream.aggregate_type() == "posting");
        let is_result = is_of_posting && self.appends.fetch_add(1, Ordering::SeqCst) >= POSTINGS;
        if is_result && self.is_held.load(Ordering::SeqCst) {
            let text = "another process holds the file";
            return Err(StoreError::new(StoreErrorKind::Busy, text).into());
        }
        self.inner.append(request).await
    }
}

/// Lets the file go when it is named, or never.
struct Watching {
    is_held: Arc<AtomicBool>,
    lets_go: bool,
    named: usize,
    is_back: bool,
    others: Vec<PostingId>,
}

impl Observer for Watching {
    fn store_away(&mut self, reason: &str, _: Duration) {
        assert!(reason.contains("holds the file"), "{reason}");
        self.named += 1;
        self.is_held.store(!self.lets_go, Ordering::SeqCst);
    }
    fn store_back(&mut self) {
        self.is_back = true;
    }
    fn waits_for(&mut self, postings: &[PostingId]) {
        self.others.extend(postings);
    }
    fn posting_left(&mut self, posting: PostingId, _: &str) {
        self.others.push(posting);
    }
}

/// Runs on a file that is held for a time; answers how often the waves' ends say that an attempt was
/// made, too.
async fn run(lets_go: bool) -> (Result<RunOutcome, RunError>, Watching, Vec<u32>) {
    let workspace = Workspace::with_script(POSTINGS, "a", crate::support::ID_END, "echo ok");
    let url = StoreUrl::Sqlite(workspace.path().join("turing.db"));
    let mut store = Store::open(&url, Access::Write).await.unwrap();
    let is_held = Arc::new(AtomicBool::new(true));
    store.events = es_core::Store::from(Layered(Held {
        inner: store.events.event_store().clone(),
        is_held: is_held.clone(),
        appends: AtomicUsize::new(0),
    }));
    let mut watching = Watching { is_held, lets_go, named: 0, is_back: false, others: Vec::new() };
    let options = match lets_go {
        true => options(),
        // nobody waits for half a minute
        false => RunOptions { timer: Jumping::new(), ..options() },
    };
    let (_stop, stopped) = watch::channel(false);
    let running = workspace.run_within(&store, options, stopped, &mut watching);
    let done = tokio::time::timeout(Duration::from_secs(60), running).await;
    let done = done.expect("the run ends");
    let ends = EventFilter::events([ConversationEvent::CONVERSATION_COMPLETED]);
    let ends = store.events.log(ReadLog::from_start().filter(ends));
    let ends: Vec<_> = ends.try_collect().await.unwrap();
    let processed = ends.iter().map(|end| match end.decode_one::<ConversationEvent>() {
        Ok(ConversationEvent::ConversationCompleted { processed_count, .. }) => {
            processed_count.0.unwrap()
        }
        other => panic!("{other:?}"),
    });
    let processed = processed.collect();
    store.close().await;
    (done, watching, processed)
}

#[tokio::test]
async fn a_file_that_is_held_is_named_and_what_was_done_is_recorded() {
    let (done, watching, processed) = run(true).await;
    let Ok(RunOutcome::Finished(report)) = done else { panic!("{done:?}") };
    assert_eq!((report.open, report.completed(), report.left.len()), (0, POSTINGS, 0));
    let attempts: usize = report.conversations.values().map(|it| it.completed).sum();
    assert_eq!(attempts, POSTINGS, "no result is thrown away");
    assert_eq!(watching.named, 1);
    assert!(watching.is_back && watching.others.is_empty(), "no posting is to blame");
    assert_eq!(processed, [u32::try_from(POSTINGS).unwrap()], "the wave counts what it did");
}

#[tokio::test]
async fn a_file_that_stays_held_ends_the_run_as_a_store_that_stays_away_does() {
    let (done, watching, _) = run(false).await;
    let error = done.unwrap_err();
    assert!(error.is_of_store(), "{error}");
    assert_eq!(watching.named, 1);
    assert!(!watching.is_back && watching.others.is_empty());
}
