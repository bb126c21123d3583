//! The reaction of the scenarios, which notes how it is called.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use es_core::environment::{EventIds, UuidV7Ids};
use es_core::event::{EventFilter, EventId, RecordedEvent};
use es_core::projection::FailurePolicy;
use es_core::reaction::{Delivery, ReactionPolicy, Start};
use es_core::{BoxError, Reaction};
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::super::models::{AccountEvent, accounts, no_delay};
use super::super::parts::{TTL, number, with_models};
use super::{ProjectionFixture, Reactors};
use crate::suite::soon;

/// The name of the reaction.
pub(super) const NAME: &str = "reacting";

/// What is done in a call.
type Act =
    dyn for<'a> Fn(&'a Delivery<AccountEvent>) -> BoxFuture<'a, Result<(), BoxError>> + Send + Sync;

/// What is wrong with how it is called, for who tests the scenarios.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bend {
    /// A call has succeeded before it ended.
    AnswersAtOnce,
    /// A call that failed has succeeded.
    SwallowsFailures,
    /// Each event is given twice.
    Twice,
    /// What is given has an id that no event has.
    Invents,
    /// No two calls have one key.
    KeyOfTheCall,
}

/// What is reacted with; clones are the same.
#[derive(Clone)]
pub struct Subject {
    start: Start,
    policy: ReactionPolicy,
    lease: Duration,
    is_narrow: bool,
    bend: Option<Bend>,
    act: Arc<Act>,
    calls: Arc<Mutex<Calls>>,
    begun: watch::Sender<usize>,
}

#[derive(Default)]
struct Calls {
    /// The streams and numbers of what was given, and which attempt that was.
    given: Vec<(String, u64, u32)>,
    /// The streams of calls that are under way.
    under_way: Vec<String>,
    /// The most calls that were under way at once.
    most: usize,
    /// Whether two of one stream ever were.
    is_overlapping: bool,
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("start", &self.start).finish_non_exhaustive()
    }
}

/// A call that is under way.
struct UnderWay<'a>(&'a Subject, String);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut calls = self.0.calls();
        if let Some(index) = calls.under_way.iter().position(|stream| *stream == self.1) {
            calls.under_way.swap_remove(index);
        }
    }
}

impl Subject {
    pub(super) fn new(
        act: impl for<'a> Fn(&'a Delivery<AccountEvent>) -> BoxFuture<'a, Result<(), BoxError>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let failure = FailurePolicy::park_key().after(no_delay(2));
        Self {
            start: Start::Beginning,
            policy: ReactionPolicy::default().on_failure(failure),
            lease: TTL,
            is_narrow: false,
            bend: None,
            act: Arc::new(act),
            calls: Arc::default(),
            begun: watch::Sender::new(0),
        }
    }

    /// One whose calls all succeed.
    pub(super) fn sound() -> Self {
        Self::new(|_| Box::pin(async { Ok(()) }))
    }

    /// One whose call for this number of an account never ends.
    pub(super) fn hanging_at(account: &'static str, at: u64) -> Self {
        Self::new(move |event| {
            let is_it = event.stream.aggregate_id() == account && number(event) == at;
            Box::pin(async move { if is_it { std::future::pending().await } else { Ok(()) } })
        })
    }

    /// The same, beginning elsewhere.
    #[must_use]
    pub fn starting(self, start: Start) -> Self {
        Self { start, ..self }
    }

    /// The same under another policy.
    #[must_use]
    pub fn policy(self, change: impl FnOnce(ReactionPolicy) -> ReactionPolicy) -> Self {
        Self { policy: change(self.policy), ..self }
    }

    pub(super) fn leased(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    /// The same, called wrongly.
    #[must_use]
    pub fn bent(self, bend: Bend) -> Self {
        Self { bend: Some(bend), ..self }
    }

    /// The same from other code, which wants less.
    pub(super) fn narrow(self) -> Self {
        Self { is_narrow: true, ..self }
    }

    /// Where it begins.
    pub fn start(&self) -> Start {
        self.start
    }

    /// For how long leases are taken.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// Whether it wants payments only.
    pub fn is_narrow(&self) -> bool {
        self.is_narrow
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was given of an account, in the order of the calls.
    pub(super) fn given(&self, account: &str) -> Vec<u64> {
        let stream = format!("account/{account}");
        let calls = self.calls();
        let given = calls.given.iter().filter(|(of, _, _)| *of == stream);
        given.map(|(_, number, _)| *number).collect()
    }

    /// Which attempts there were at this number of an account.
    pub(super) fn attempts(&self, account: &str, at: u64) -> Vec<u32> {
        let stream = format!("account/{account}");
        let calls = self.calls();
        let given = calls.given.iter().filter(|(of, number, _)| *of == stream && *number == at);
        given.map(|(_, _, attempt)| *attempt).collect()
    }

    /// How many calls began.
    pub(super) fn count(&self) -> usize {
        self.calls().given.len()
    }

    /// The most calls that were under way at once.
    pub(super) fn most(&self) -> usize {
        self.calls().most
    }

    /// Whether two calls for one stream ever were under way at once.
    pub(super) fn is_overlapping(&self) -> bool {
        self.calls().is_overlapping
    }

    /// Waits until the calls that began are as wanted.
    pub(super) async fn until(&self, is_wanted: impl Fn(&Self) -> bool) {
        let mut begun = self.begun.subscribe();
        while !is_wanted(self) {
            begun.changed().await.expect("the subject has the sender");
        }
    }

    async fn called(&self, event: &Delivery<AccountEvent>) -> Result<(), BoxError> {
        let Some(bend) = self.bend else { return self.noted(event).await };
        let made_anew = |name: &str, event_id: EventId| {
            let mut recorded = RecordedEvent::clone(event);
            recorded.event_id = event_id;
            let data = recorded.decode_one::<AccountEvent>()?;
            Ok::<_, BoxError>(Delivery::of(name, recorded, data)?)
        };
        match bend {
            Bend::AnswersAtOnce => {
                let (subject, event) = (self.clone(), made_anew(NAME, event.event_id)?);
                tokio::spawn(async move { subject.noted(&event).await });
                Ok(())
            }
            Bend::SwallowsFailures => {
                let _ = self.noted(event).await;
                Ok(())
            }
            Bend::Twice => {
                self.noted(event).await?;
                self.noted(event).await
            }
            Bend::Invents => self.noted(&made_anew(NAME, UuidV7Ids.next_id())?).await,
            Bend::KeyOfTheCall => {
                let name = format!("{NAME}-{}", self.count());
                self.noted(&made_anew(&name, event.event_id)?).await
            }
        }
    }

    async fn noted(&self, event: &Delivery<AccountEvent>) -> Result<(), BoxError> {
        let stream = event.stream.to_string();
        {
            let mut calls = self.calls();
            calls.given.push((stream.clone(), number(event), event.attempt()));
            calls.is_overlapping |= calls.under_way.contains(&stream);
            calls.under_way.push(stream.clone());
            calls.most = calls.most.max(calls.under_way.len());
        }
        let _under_way = UnderWay(self, stream);
        self.begun.send_modify(|begun| *begun += 1);
        (self.act)(event).await
    }

    /// Has it called for all there is.
    pub(super) async fn caught_up(
        &self,
        fixture: &dyn ProjectionFixture,
        reactors: &dyn Reactors,
        holder: &str,
    ) {
        let store = with_models(&fixture.store(), &fixture.sink());
        let attended = reactors.attend(&store, holder, self.clone(), false);
        if let Err(error) = soon("a reaction comes to the end of the log", attended).await {
            panic!("nothing keeps the reaction from the end of the log, but: {error}");
        }
    }

    /// Has it called as long as something else takes.
    pub(super) async fn beside<T>(
        &self,
        fixture: &dyn ProjectionFixture,
        reactors: &dyn Reactors,
        what: &str,
        work: impl Future<Output = T>,
    ) -> T {
        let store = with_models(&fixture.store(), &fixture.sink());
        let attended = reactors.attend(&store, "one", self.clone(), true);
        let both = async {
            tokio::select! {
                done = work => done,
                ended = attended => panic!("what is to stay has ended: {ended:?}"),
            }
        };
        soon(what, both).await
    }
}

macro_rules! reactions {
    ($($(#[$doc:meta])* $name:ident $start:ident $selection:expr;)+) => {$(
        $(#[$doc])*
        pub(super) struct $name(pub(super) Subject);

        impl Reaction for $name {
            const NAME: &'static str = NAME;
            const START: Start = Start::$start;
            type Event = AccountEvent;

            async fn react(&self, event: &Delivery<AccountEvent>) -> Result<(), BoxError> {
                self.0.called(event).await
            }

            fn selection() -> EventFilter {
                $selection
            }

            fn policy(&self) -> ReactionPolicy {
                self.0.policy
            }
        }
    )+};
}

reactions! {
    /// Begins with what comes.
    FromNow Now accounts();
    /// Begins with the first event.
    FromBeginning Beginning accounts();
    /// Begins with the first event, and wants payments only.
    Narrow Beginning EventFilter::events([AccountEvent::AMOUNT_PAID_IN]);
}
