//! What each expectation accepts.

use es_core::ExpectedVersion;
use es_core::backend::{AppendError, AppendRequest};

use super::parts::*;
use crate::fixture::Fixture;

pub(super) async fn each_expectation_is_judged(fixture: &dyn Fixture) {
    let store = fixture.store();
    let expectations = [
        ExpectedVersion::Any,
        ExpectedVersion::NoStream,
        ExpectedVersion::StreamExists,
        exactly(0),
        exactly(1),
        exactly(2),
        exactly(3),
        exactly(u64::MAX),
    ];
    for at in [0, 2] {
        for (case, expected) in expectations.into_iter().enumerate() {
            let account = stream(&format!("{at}-{case}"));
            if at > 0 {
                append(&store, &account, NONE, events(1..=at)).await;
            }
            let request = AppendRequest::to(account.clone(), expected, vec![event(at + 1)]);
            let answer = store.append(request).await;
            let permitted = expected.accepts(version(at));
            match &answer {
                Ok(_) => assert!(permitted, "{expected} was accepted at version {at}"),
                Err(AppendError::Conflict(_)) => {
                    assert!(!permitted, "{expected} was refused at version {at}");
                }
                Err(error) => panic!("{expected} at version {at}: {error}"),
            }
            let last = if permitted { at + 1 } else { at };
            let expected_numbers: Vec<u64> = (1..=last).collect();
            holds(&store, &account, &expected_numbers, "only a permitted append is written").await;
        }
    }
}
