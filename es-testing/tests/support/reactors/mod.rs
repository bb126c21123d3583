//! A campaign of kills over a reaction: processes react until they are killed, while events are
//! appended. Whatever became of them, each event has its call, in order, and each command one effect.
//!
//! A backend's test has this folder as a module, and gives [`campaign`] a command that starts the
//! test's own program again, as a child that calls [`react_until_killed`].

mod evidence;
mod processes;
mod receipts;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::File;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use es_core::backend::{
    AppendRequest, ListParked, NewEvent, PageLimit, Position, ReadLog, ReadStream, SinkError, Slot,
    StreamId,
};
use es_core::environment::{EventIds, UuidV7Ids};
use es_core::event::{EventFilter, Metadata};
use es_core::projection::{GenerationStatus, Parked, Subscription};
use es_core::{Event, ExpectedVersion, Reaction, Store};
use es_testing::suite::{rounds, seed};
use serde::Deserialize;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::timeout;

use evidence::{Effects, Entry, Evidence, Given};
pub(crate) use processes::react_until_killed;
use processes::{Life, runner, started};
use receipts::{Noted, Paid, Receipts};

/// For anything that must happen: only what hangs reaches it.
const LIMIT: Duration = Duration::from_secs(60);

/// Starts a child or two, appends while they react, kills them after some of what they do, or asks them
/// to end, and judges what they left; again and again, 12 times, or 300 with `ES_CAMPAIGN=full`.
///
/// `child` makes the command.
///
/// # Panics
///
/// When anything is not as the reaction's author can rely on, or a child ends by itself.
#[allow(clippy::print_stdout, reason = "a campaign prints what it did")]
pub(crate) async fn campaign(store: impl Into<Store>, child: impl Fn() -> Command) {
    let seed = seed();
    println!("ES_SEED={seed}");
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let record = folder.path().join("calls");
    File::create(&record).expect("a file can be made there");
    let random = fastrand::Rng::with_seed(seed);
    let (last, poison) = (Position::START, HashSet::new());
    let (store, appended, discarded, children) = (store.into(), 0, 0, 0);
    let mut campaign =
        Campaign { store, record, random, appended, last, poison, discarded, children };
    // the reaction begins now, and is never to hear of these
    campaign.append(10).await;
    for round in 0..rounds(12, 300) {
        campaign.round(&child).await;
        let faults = campaign.look().await.faults();
        assert!(faults.is_empty(), "ES_SEED={seed}, round {round}: {faults:#?}");
    }
    campaign.drain(false).await;
    let left = campaign.judge().await;
    campaign.mend(&left).await;
    campaign.drain(true).await;
    campaign.nothing_is_left().await;
    let Campaign { appended, discarded, children, .. } = campaign;
    let (poisoned, calls) = (campaign.poison.len(), receipts::recorded(&campaign.record).len());
    println!(
        "{children} children, {appended} events of which {poisoned} were poison, {discarded} \
         discarded, {calls} beginnings and ends of calls"
    );
}

/// The row in which it is recorded where a reaction began.
#[derive(Deserialize)]
struct Began {
    position: Position,
}

struct Campaign {
    store: Store,
    /// Where calls are written down.
    record: PathBuf,
    random: fastrand::Rng,
    appended: u64,
    /// Where the last event was recorded.
    last: Position,
    /// Where poison was recorded.
    poison: HashSet<u64>,
    discarded: u64,
    children: u64,
}

impl Campaign {
    /// Appends so many events. Two of three are to streams that are never poisoned, so there is always
    /// something that can be done.
    async fn append(&mut self, count: u64) {
        for number in self.appended..self.appended + count {
            let is_sound = number % 3 != 0;
            // not too long, because each command reads what was noted before
            let account = if is_sound {
                format!("sound-{}-{}", number / 200, number % 5)
            } else {
                format!("risky-{}", number / 40)
            };
            let is_poison = !is_sound && self.random.u8(0..10) == 0;
            let event = Paid::AmountPaidIn { number, is_poison };
            let payload = event.encode(&mut Metadata::new()).expect("a number is JSON");
            let event = NewEvent::new(UuidV7Ids.next_id(), event.event_type().name, payload);
            let stream = StreamId::new("account", &account).expect("it is an id");
            let request = AppendRequest::to(stream, ExpectedVersion::Any, vec![event]);
            let appended = self.store.append(request).await;
            self.last = appended.expect("a store that is open takes an event").position();
            if is_poison {
                self.poison.insert(self.last.to_sequence());
            }
        }
        self.appended += count;
    }

    /// Has one child at work, or two of which one waits for the other, until they are ended.
    async fn round(&mut self, child: &impl Fn() -> Command) {
        let holders: &[&str] = match self.random.u8(0..4) {
            0 => &["one", "two"],
            1 => &["two"],
            _ => &["one"],
        };
        self.append(5).await;
        let (sender, mut steps) = unbounded_channel();
        let mut children = Vec::new();
        for &holder in holders {
            // some do not come to their first call, some are at the end of the log again and again
            let lines = self.random.usize(0..60);
            let (ahead, is_killed) = (self.random.usize(2..40), self.random.u8(0..6) != 0);
            let life = Life { holder, record: &self.record, ahead, lines, is_killed };
            children.push(started(child(), &life, sender.clone()));
        }
        self.children += holders.len() as u64;
        drop(sender);
        while let Some(()) = timeout(LIMIT, steps.recv()).await.expect("a child does something") {
            self.append(1).await;
            if self.random.u8(0..20) == 0 {
                self.operate().await;
            }
        }
        for child in children {
            child.join().expect("a child ends as it was to end");
        }
    }

    /// What somebody does meanwhile about a stream that is stuck: it is tried again in vain, or goes on
    /// without the event.
    async fn operate(&mut self) {
        if self.active().await.is_none() {
            return;
        }
        let parked = self.parked(true).await.into_iter();
        let stuck = parked.filter(|entry| {
            entry.attempts > 0 && self.poison.contains(&entry.event.position.to_sequence())
        });
        let stuck: Vec<_> = stuck.collect();
        let Some(entry) = self.random.choice(stuck) else { return };
        let is_discarded = self.random.bool();
        match self.dealt_with(&entry, is_discarded).await {
            Ok(()) => self.discarded += u64::from(is_discarded),
            // a commit that replaces the entry may come between
            Err(SinkError::NothingParked { .. }) => {}
            Err(error) => panic!("what is parked can be dealt with: {error}"),
        }
    }

    async fn dealt_with(&self, entry: &Parked, is_discarded: bool) -> Result<(), SinkError> {
        let subscription = self.subscription();
        if is_discarded {
            subscription.discard(&entry.id(), "by hand").await
        } else {
            subscription.retry(&entry.key).await
        }
    }

    /// Does all that can be done, in this process.
    async fn drain(&self, is_healed: bool) {
        let at_work = || {
            let receipts = Receipts::new(&self.store, &self.record, 100).healed(is_healed);
            runner(&self.store, "last").reaction(receipts)
        };
        // waits until a killed process has lost its lease
        let runner = at_work();
        let handle = runner.handle();
        let reached = async {
            let reached = self.subscription().wait_for(self.last, LIMIT).await;
            handle.stop();
            reached
        };
        let (ended, reached) = tokio::join!(Box::pin(runner.run()), reached);
        ended.expect("nothing keeps the reaction from its work");
        reached.expect("it comes to the end of the log");
        // what is due, and what the end before has set aside
        at_work().once().await.expect("the lease was given back");
    }

    /// Judges what there is where nothing is left to be done; answers the entries that wait.
    async fn judge(&self) -> Vec<Parked> {
        let evidence = self.look().await;
        let mut effects = Effects::new();
        let accounts: BTreeSet<_> = evidence.log.iter().map(|event| &event.stream).collect();
        for account in accounts {
            let audit = StreamId::new("audit", account).expect("it is an id");
            let read = ReadStream::new(audit).limit(PageLimit::events(10_000));
            let page = self.store.read_stream(&read).await.expect("the stream can be read");
            let numbers = page.events.iter().map(|event| {
                let Noted::PaymentNoted { number } = event.decode_one().expect("as written");
                number
            });
            let numbers: Vec<_> = numbers.collect();
            if !numbers.is_empty() {
                effects.insert(account.clone(), numbers);
            }
        }
        let faults = evidence.faults_at_rest(&effects);
        assert!(faults.is_empty(), "{faults:#?}");
        let found = evidence.log.iter().filter(|event| event.is_poison).count();
        assert_eq!((evidence.log.len() as u64, found), (self.appended, self.poison.len()));
        assert!(evidence.calls.len() as u64 > self.appended, "the campaign has called for little");
        self.parked(true).await
    }

    /// Has each stream that is stuck tried again from its first entry, or goes on without that.
    async fn mend(&mut self, waiting: &[Parked]) {
        let mut first: BTreeMap<&str, &Parked> = BTreeMap::new();
        for entry in waiting {
            first.entry(&entry.key).or_insert(entry);
        }
        for entry in first.into_values() {
            let is_discarded = self.random.bool();
            self.dealt_with(entry, is_discarded).await.expect("it waits, and nobody is at work");
            self.discarded += u64::from(is_discarded);
        }
    }

    /// Judges the end: all was done or discarded, and nobody has anything.
    async fn nothing_is_left(&self) {
        let waiting = self.judge().await;
        assert!(waiting.is_empty(), "a retry and a discard end what waits, but: {waiting:#?}");
        let active = self.active().await.expect("the reaction has run");
        assert_eq!(active.holder, None, "the lease was given back");
        assert_eq!(active.trouble, None, "nothing keeps it from going on");
        assert_eq!((active.waiting, active.discarded), (0, self.discarded));
        let sink = self.store.capabilities().models.as_ref().expect("the store keeps models");
        let all = sink.status(None).await.expect("the sink answers");
        let models: Vec<_> = all.iter().map(|it| (&*it.projection, it.shadow.is_some())).collect();
        assert_eq!(models, [(Receipts::NAME, false)], "there is one model, with one generation");
    }

    /// What nobody changes any more. The places come before what was done, so that what they pass must
    /// have been done.
    async fn look(&self) -> Evidence {
        let mut evidence = Evidence::default();
        if let Some(active) = self.active().await {
            evidence.checkpoint = active.checkpoint().position.to_sequence();
            let sink = self.store.capabilities().models.as_ref().expect("the store keeps models");
            let rows = sink.rows(Receipts::NAME, Slot::Active, None, 10).await;
            let rows = rows.expect("the model is there");
            assert!(rows.len() <= 1, "a reaction has one row: {rows:?}");
            evidence.start = rows.first().map(|row| {
                let began: Began = row.value.decode().expect("as written");
                began.position.to_sequence()
            });
            evidence.parked = self.parked(false).await.iter().map(entry).collect();
        }
        evidence.calls = receipts::recorded(&self.record);
        let mut read = ReadLog::from_start().filter(EventFilter::of::<Paid>());
        loop {
            let page = self.store.read_log(&read).await.expect("the log can be read");
            evidence.log.extend(page.events.iter().map(|event| {
                let Paid::AmountPaidIn { number, is_poison } =
                    event.decode_one().expect("as written");
                let stream = event.stream.aggregate_id().to_owned();
                let key = format!("reaction/{}/{}", Receipts::NAME, event.event_id);
                let position = event.position.to_sequence();
                Given { position, stream, number, is_poison, key }
            }));
            if page.at_end {
                return evidence;
            }
            read.after = page.next;
        }
    }

    fn subscription(&self) -> Subscription {
        Subscription::reaction::<Receipts>(&self.store)
    }

    /// The model of the reaction; `None` if it never ran.
    async fn active(&self) -> Option<GenerationStatus> {
        let status = self.subscription().status().await.expect("the sink answers");
        status.and_then(|status| status.active)
    }

    async fn parked(&self, waiting_only: bool) -> Vec<Parked> {
        let list = ListParked { waiting_only, limit: 1_000_000, ..ListParked::default() };
        let sink = self.store.capabilities().models.as_ref().expect("the store keeps models");
        let parked = sink.parked(Receipts::NAME, Slot::Active, &list).await;
        parked.expect("the model is there")
    }
}

fn entry(parked: &Parked) -> Entry {
    Entry {
        position: parked.event.position.to_sequence(),
        attempts: parked.attempts,
        is_waiting: parked.is_waiting(),
    }
}
