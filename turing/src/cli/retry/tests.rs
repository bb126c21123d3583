//! Which of the postings that failed are selected, and what left out the others.

use serde_json::{Map, Value, json};

use super::*;
use crate::account::FailedEnd;
use crate::cli::arguments::WhichArgs;
use crate::registry::MemoryRegistry;

fn end(at: Option<i32>, reason: EndReason, of: Option<FailureType>) -> FailedEnd {
    let cost = Cost { attempts: 3, tasks: 0, tokens: Some(10) };
    FailedEnd { reason, conversation_id: at.map(ConversationId), failure_type: of, cost }
}

/// A run in which 1 and 2 timed out at 10, 3 failed at 20 and 4 went round too often; 5 completed and 6
/// has not ended.
fn of_run() -> FailedOfRun {
    let timeout = || end(Some(10), EndReason::ActorFailed, Some(FailureType::Timeout));
    let failed = [
        (1, timeout()),
        (2, timeout()),
        (3, end(Some(20), EndReason::ActorFailed, Some(FailureType::ScriptError))),
        (4, end(None, EndReason::RunBudget, None)),
    ];
    FailedOfRun {
        run_id: run(),
        workflow_id: "3001".to_owned(),
        names: BTreeMap::from([(ConversationId(10), "check".to_owned())]),
        status: Status::Completed,
        failed: failed.map(|(id, end)| (PostingId(id), end)).into(),
        completed: BTreeSet::from([PostingId(5)]),
        entered: (1..=6).map(PostingId).collect(),
        left_out: Vec::new(),
    }
}

fn run() -> RunId {
    "0193a1d4-0000-7000-8000-000000000001".parse().unwrap()
}

fn data(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(data) => data,
        other => panic!("{other} is no object"),
    }
}

/// The data of the four that failed.
async fn registry() -> MemoryRegistry {
    let registry = MemoryRegistry::default();
    let all = [
        json!({"pay": 100, "place": {"country": "AT"}}),
        json!({"pay": "100", "place": {"country": "DE"}, "a/b~c": [1, 2]}),
        json!({"pay": 1e2, "title": "Baker = \"m/w\""}),
        json!({"pay": null}),
    ];
    let inputs = all.into_iter().zip(1..).map(|(one, id)| PostingInput {
        source: String::new(),
        posting_id: Some(PostingId(id)),
        data: data(one),
    });
    let registered = registry.register(inputs.collect()).await.unwrap();
    assert!(registered.iter().all(Result::is_ok), "{registered:?}");
    registry
}

fn fields(texts: &[&str]) -> WhichArgs {
    let fields = texts.iter().map(|text| text.parse().unwrap()).collect();
    WhichArgs { fields, ..WhichArgs::default() }
}

async fn selected_by(args: &WhichArgs, listed: Option<&[i32]>) -> Selection {
    let listed = listed.map(|ids| ids.iter().copied().map(PostingId).collect());
    let wanted = Wanted::new(args, listed);
    let registry = registry().await;
    let mut reads = |_: usize| {};
    select(of_run(), wanted, &registry, &mut reads).await.unwrap()
}

fn ids(selection: &Selection) -> Vec<i32> {
    selection.intake.postings.keys().map(|id| id.0).collect()
}

fn refusal(refused: Result<(), Failure>) -> String {
    refused.unwrap_err().to_string()
}

#[tokio::test]
async fn without_a_filter_all_that_failed_are_selected_with_what_they_cost() {
    let selection = selected_by(&WhichArgs::default(), None).await;
    assert_eq!(ids(&selection), [1, 2, 3, 4]);
    assert_eq!((selection.failed, selection.intake.read), (4, 4));
    assert_eq!(selection.cost, Cost { attempts: 12, tasks: 0, tokens: Some(40) });
    let timeout = (Some(ConversationId(10)), EndReason::ActorFailed, Some(FailureType::Timeout));
    assert_eq!(selection.kinds.get(&timeout), Some(&2));
    let keys: Vec<_> = selection.data_keys.iter().map(String::as_str).collect();
    assert_eq!(keys, ["a/b~c", "pay", "place", "title"]);
    assert!(selection.refuse_nothing().is_ok() && selection.refuse_others().is_ok());
}

#[tokio::test]
async fn one_of_each_kind_must_fit_and_of_one_kind_any() {
    let (timeout, script) = (FailureType::Timeout, FailureType::ScriptError);
    let both = WhichArgs { failed: vec![timeout.clone(), script], ..WhichArgs::default() };
    assert_eq!(ids(&selected_by(&both, None).await), [1, 2, 3]);
    let conversation = vec![ConversationId(20), ConversationId(30)];
    let at_20 = WhichArgs { conversation, ..both };
    let selection = selected_by(&at_20, None).await;
    assert_eq!(ids(&selection), [3]);
    let left_out: Vec<_> = selection.wanted.sieves.iter().map(|sieve| sieve.found()).collect();
    let found = "2 at 10, 1 at no conversation".to_owned();
    assert_eq!(left_out, [Some(found), None], "each is left out once, by the first");

    let reason = vec![EndReason::RunBudget];
    let budget = WhichArgs { reason: reason.clone(), ..WhichArgs::default() };
    assert_eq!(ids(&selected_by(&budget, None).await), [4]);
    let neither = WhichArgs { reason, failed: vec![timeout], ..WhichArgs::default() };
    assert!(ids(&selected_by(&neither, None).await).is_empty());

    // named ones and those on standard input are of one kind
    let posting = vec![PostingId(2)];
    let named = WhichArgs { posting, ..WhichArgs::default() };
    assert_eq!(ids(&selected_by(&named, Some(&[4, 2])).await), [2, 4]);
}

#[tokio::test]
async fn data_are_compared_as_json_and_what_is_none_as_text() {
    let cases: &[(&[&str], &[i32])] = &[
        (&["/pay=100"], &[1, 3]),
        (&["/pay=100.0"], &[1, 3]),
        (&["/pay=\"100\""], &[2]),
        (&["/pay=null"], &[4]),
        (&["/place/country=AT"], &[1]),
        (&["/place/country=AT", "/place/country=DE"], &[1, 2]),
        (&["/place/country=AT", "/pay=\"100\""], &[]),
        (&["/place={\"country\": \"DE\"}"], &[2]),
        (&["/a~1b~0c/1=2"], &[2]),
        (&["/title=Baker = \"m/w\""], &[3]),
        (&["/title="], &[]),
        (&["/nothing=null"], &[]),
    ];
    for (texts, expected) in cases {
        let selection = selected_by(&fields(texts), None).await;
        assert_eq!(ids(&selection), *expected, "{texts:?}");
    }
    for wrong in ["pay=100", "/pay", "=1", ""] {
        assert!(wrong.parse::<Field>().is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn only_of_what_the_other_filters_let_through_the_data_are_read() {
    let failed = vec![FailureType::ScriptError];
    let args = WhichArgs { failed, ..fields(&["/pay=100"]) };
    let registry = MemoryRegistry::default();
    let input = PostingInput {
        source: String::new(),
        posting_id: Some(PostingId(3)),
        data: data(json!({"pay": 100})),
    };
    registry.register(vec![input]).await.unwrap()[0].as_ref().unwrap();
    // the others are not even registered
    let mut read = 0;
    let mut reads = |_: usize| read += 1;
    let wanted = Wanted::new(&args, None);
    let selection = select(of_run(), wanted, &registry, &mut reads).await.unwrap();
    assert_eq!((ids(&selection), read), (vec![3], 1));
}

#[tokio::test]
async fn ids_that_did_not_fail_are_named_each_with_its_reason() {
    let selection = selected_by(&WhichArgs::default(), Some(&[1, 5, 6, 8, 9])).await;
    assert_eq!(ids(&selection), [1]);
    let run = run();
    let told = [
        format!("postings 8, 9 are not in run {run}"),
        format!("posting 6 has not ended in run {run}"),
        format!("posting 5 completed in run {run}"),
    ];
    assert_eq!(selection.others(), told);
    let refused = refusal(selection.refuse_others());
    assert!(refused.starts_with("of the ids that were given 4 did not fail in run "), "{refused}");
}

#[tokio::test]
async fn a_list_without_ids_selects_nothing() {
    let selection = selected_by(&WhichArgs::default(), Some(&[])).await;
    assert!(ids(&selection).is_empty());
    let refused = refusal(selection.refuse_nothing());
    assert!(refused.starts_with("no id stands on standard input; "), "{refused}");
}

#[tokio::test]
async fn who_selects_nothing_is_told_which_filter_left_nothing_and_what_there_is() {
    let rate_limited = vec![FailureType::RateLimited];
    let args = WhichArgs { failed: rate_limited.clone(), ..WhichArgs::default() };
    let told = refusal(selected_by(&args, None).await.refuse_nothing());
    let run = run();
    let expected = format!(
        "4 postings failed in run {run}, and none of these fits `--failed rate_limited`: 2 timeout, \
         1 script_error, 1 without a failed attempt"
    );
    assert_eq!(told, expected);

    let conversation = vec![ConversationId(20)];
    let args = WhichArgs { failed: rate_limited, conversation, ..WhichArgs::default() };
    let told = refusal(selected_by(&args, None).await.refuse_nothing());
    let expected = format!(
        "4 postings failed in run {run}, the other filters leave 1 of them, and none of these fits \
         `--failed rate_limited`: 1 script_error"
    );
    assert_eq!(told, expected);

    let told = refusal(selected_by(&fields(&["/pay=7"]), None).await.refuse_nothing());
    assert!(told.ends_with("fits `--where '/pay=7'`: 1 \"100\", 1 100, 1 100.0, 1 null"), "{told}");

    let told = refusal(selected_by(&WhichArgs::default(), Some(&[9])).await.refuse_nothing());
    assert!(told.ends_with("and none of these fits the ids that were given"), "{told}");
}

#[tokio::test]
async fn a_run_in_which_nothing_failed_has_nothing_to_do_again_whatever_is_asked_for() {
    let nothing = FailedOfRun { failed: BTreeMap::new(), ..of_run() };
    let wanted = Wanted::new(&fields(&["/pay=7"]), None);
    let (registry, mut reads) = (registry().await, |_: usize| {});
    let selection = select(nothing, wanted, &registry, &mut reads).await.unwrap();
    let told = refusal(selection.refuse_nothing());
    assert!(told.contains("has no failed posting"), "{told}");
}

#[test]
fn what_was_asked_for_is_proposed_again_in_words_of_the_shell() {
    let args = WhichArgs {
        failed: vec![FailureType::Timeout, FailureType::Other("odd one".to_owned())],
        posting: vec![PostingId(-7)],
        ..fields(&["/title=it's", "/pay=100"])
    };
    let words = Wanted::new(&args, Some(BTreeSet::new())).words();
    let expected = " --posting -7 - --failed timeout --failed 'odd one' --where '/pay=100' \
                    --where '/title=it'\\''s'";
    assert_eq!(words, expected);
}

#[test]
fn many_different_values_are_counted_together() {
    let mut wanted = Wanted::new(&fields(&["/n=0"]), None);
    for n in 1..=1_000 {
        assert!(!wanted.wants_data(&data(json!({ "n": n }))));
    }
    let sieve = &wanted.sieves[0];
    assert_eq!((sieve.reached, sieve.left_out), (1_000, 1_000));
    let told = sieve.found().unwrap();
    assert!(told.starts_with("980 others, 1 1, ") && told.ends_with(", …"), "{told}");
}
