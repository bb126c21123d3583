//! What belongs together: causes, and the correlation that a root begins.

use es_core::backend::{AppendRequest, EventStore};
use es_core::event::{EventId, Metadata};
use es_core::{ExpectedVersion, transact};
use es_memory::MemoryStore;
use serde_json::Value;

use super::account::*;

fn correlated(correlation: &str) -> Metadata {
    let mut metadata = Metadata::new();
    metadata.correlation_id = Some(correlation.to_owned());
    metadata
}

/// The ids of an account's events, and what each belongs to.
async fn correlations(store: &MemoryStore, account: &str) -> Vec<(EventId, Option<String>)> {
    let events = events(store, account).await.into_iter();
    events.map(|event| (event.event_id, event.metadata.correlation_id)).collect()
}

#[tokio::test]
async fn causation_and_correlation_flow_from_event_to_command() {
    let store = store();
    let accounts = accounts(&store);
    let deposit = |account: &Account| account.deposit(1);
    accounts.by_id("a").decide(deposit).metadata(correlated("c-1")).await.unwrap();
    let cause = events(&store, "a").await.remove(0);
    accounts.by_id("b").decide(deposit).caused_by(&cause).await.unwrap();
    accounts.clone().caused_by(&cause).by_id("c").decide(deposit).await.unwrap();
    for account in ["b", "c"] {
        let metadata = &events(&store, account).await[0].metadata;
        assert_eq!(metadata.causation_id, Some(cause.event_id));
        assert_eq!(metadata.correlation_id.as_deref(), Some("c-1"));
    }
    slip_in(&store, "d", 1);
    let uncorrelated = events(&store, "d").await.remove(0);
    accounts.by_id("e").decide(deposit).caused_by(&uncorrelated).await.unwrap();
    let metadata = &events(&store, "e").await[0].metadata;
    assert_eq!(metadata.correlation_id, Some(uncorrelated.event_id.to_string()));
}

#[tokio::test]
async fn an_answer_is_the_cause_of_the_next_command() {
    let store = store();
    let accounts = accounts(&store);
    let deposit = |_: &Account| [MoneyDeposited { cents: 1 }, MoneyDeposited { cents: 2 }];
    let first = accounts.by_id("a").decide(deposit).metadata(correlated("c-1")).await.unwrap();
    accounts.by_id("b").decide(deposit).caused_by(first.cause().unwrap()).await.unwrap();
    let (cause, caused) = (events(&store, "a").await, events(&store, "b").await);
    assert_eq!(caused[0].metadata.causation_id, Some(cause[1].event_id));
    assert_eq!(caused[0].metadata.correlation_id.as_deref(), Some("c-1"));
}

#[tokio::test]
async fn events_without_a_correlation_get_the_id_of_the_first_of_them_and_pass_it_on() {
    let store = store();
    let accounts = accounts(&store);
    let deposit = |_: &Account| [MoneyDeposited { cents: 1 }, MoneyDeposited { cents: 2 }];
    let root = accounts.by_id("a").decide(deposit).await.unwrap();
    let roots = correlations(&store, "a").await;
    let correlation = Some(roots[0].0.to_string());
    assert_eq!(roots, [(roots[0].0, correlation.clone()), (roots[1].0, correlation.clone())]);

    let next = accounts.by_id("b").decide(deposit).caused_by(root.cause().unwrap()).await.unwrap();
    accounts.by_id("c").decide(deposit).caused_by(next.cause().unwrap()).await.unwrap();
    for account in ["b", "c"] {
        for (_, found) in correlations(&store, account).await {
            assert_eq!(found, correlation, "{account}");
        }
    }
    // each command begins one of its own
    accounts.by_id("a").decide(deposit).await.unwrap();
    let again = correlations(&store, "a").await;
    assert_eq!(again[3].1, Some(again[2].0.to_string()));
    assert_ne!(again[2].1, correlation);
}

#[tokio::test]
async fn a_decision_over_several_begins_one_correlation_for_all_its_members() {
    let store = store();
    let accounts = accounts(&store);
    // the first member gets no event
    let members = ["none", "a", "b"].map(|name| accounts.by_id(name));
    let decided = transact(Vec::from(members), |drafts| {
        for (at, count) in [(1, 2), (2, 1)] {
            for _ in 0..count {
                drafts[at].record(drafts[at].deposit(1)?);
            }
        }
        Ok::<_, TooLittle>(())
    });
    let decided = decided.await.unwrap();
    let (a, b) = (correlations(&store, "a").await, correlations(&store, "b").await);
    let correlation = Some(a[0].0.to_string());
    for (_, found) in a.iter().chain(&b) {
        assert_eq!(*found, correlation);
    }
    let cause = decided.cause().unwrap();
    assert_eq!((cause.event_id, Some(cause.correlation_id)), (b[0].0, correlation));
    // what the first member's repository says is what all of the append belongs to
    let own = accounts.clone().with_metadata(correlated("c-2"));
    let pair = (own.by_id("c"), accounts.by_id("d"));
    let decided = transact(pair, |(c, d)| {
        c.record(c.deposit(1)?);
        d.record(d.deposit(1)?);
        Ok::<_, TooLittle>(())
    });
    decided.await.unwrap();
    let (c, d) = (correlations(&store, "c").await, correlations(&store, "d").await);
    assert_eq!(c[0].1.as_deref(), Some("c-2"));
    assert_eq!(d[0].1.as_deref(), Some("c-2"));
}

#[derive(es_core::Event, Debug, Clone, PartialEq)]
enum Filed {
    PaperFiled {
        #[event(metadata)]
        correlation_id: Option<String>,
    },
}

#[derive(Debug, Clone, Default)]
struct Folder(Vec<Filed>);

impl es_core::Aggregate for Folder {
    const TYPE: &'static str = "folder";
    type Id = String;
    type Event = Filed;
    fn evolve(&mut self, event: &Filed) {
        self.0.push(event.clone());
    }
}

#[tokio::test]
async fn whoever_says_a_correlation_is_believed() {
    let store = store();
    let accounts = accounts(&store).with_metadata(correlated("of the repository"));
    let deposit = |account: &Account| account.deposit(1);
    accounts.by_id("a").decide(deposit).await.unwrap();
    accounts.by_id("a").decide(deposit).metadata(correlated("of the command")).await.unwrap();
    // not a text, but said
    let mut odd = Metadata::new();
    odd.set_document("correlation_id", Value::from(7));
    accounts.by_id("a").decide(deposit).metadata(odd).await.unwrap();
    let told = events(&store, "a").await;
    let told = told.iter().map(|event| event.metadata.document("correlation_id").unwrap());
    let told: Vec<_> = told.map(|document| document.to_string()).collect();
    assert_eq!(told, [r#""of the repository""#, r#""of the command""#, "7"]);

    let folders = es_core::Repository::<Folder>::new(store.clone());
    let filed = |text: Option<&str>| Filed::PaperFiled { correlation_id: text.map(str::to_owned) };
    // an event says that it belongs to something, or to nothing
    let decided = [filed(Some("of the event")), filed(None)];
    folders.by_id("f").decide(|_| decided.clone()).await.unwrap();
    assert_eq!(folders.load("f").await.unwrap().state.0, decided);

    // what the first event says is said of those that say nothing
    let silent = es_core::Repository::<Account>::new(store.clone());
    let decided = transact((folders.by_id("g"), silent.by_id("h")), |(folder, account)| {
        folder.record(filed(Some("of the event")));
        account.record(account.deposit(1)?);
        Ok::<_, TooLittle>(())
    });
    decided.await.unwrap();
    assert_eq!(correlations(&store, "h").await[0].1.as_deref(), Some("of the event"));
}

#[tokio::test]
async fn what_is_appended_past_the_commands_stays_as_it_is() {
    let store = store();
    slip_in(&store, "a", 1);
    assert_eq!(correlations(&store, "a").await[0].1, None);
    let copy = events(&store, "a").await.remove(0);
    let (event_type, payload) = (copy.event_type.as_str(), copy.payload.clone());
    let event_id = es_core::environment::Environment::default().event_ids.next_id();
    let event =
        es_core::backend::NewEvent::new(event_id, event_type, payload).with_metadata(copy.metadata);
    let request = AppendRequest::to(stream("b"), ExpectedVersion::NoStream, vec![event]);
    store.append(request).await.unwrap();
    assert_eq!(correlations(&store, "b").await, [(event_id, None)]);
}
