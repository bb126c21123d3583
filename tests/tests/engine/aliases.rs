//! A new alias of an event changes what is selected, and so the models that select it.
#![allow(dead_code, reason = "the events are only selected")]

use std::sync::Arc;

use es_core::Runner;
use es_core::backend::{Definition, RawKeying};
use es_core::event::{EventFilter, EventType};
use es_core::projection::TroubleKind;
use es_memory::MemoryStore;

mod before {
    #[derive(Debug, Clone, es_core::Event)]
    pub(super) enum Of {
        SumReceived { number: u64 },
        AccountLocked { number: u64 },
    }
}

mod after {
    #[derive(Debug, Clone, es_core::Event)]
    pub(super) enum Of {
        #[event(alias = "amount_paid")]
        SumReceived {
            number: u64,
        },
        AccountLocked {
            number: u64,
        },
    }
}

/// Counts events of each stream.
fn selecting(selection: &EventFilter) -> Definition {
    let (selection, keying) = (selection.clone(), RawKeying::Streams);
    Definition::rows("selecting", 1, selection, keying, |_, row, _| {
        Ok(Some(row.unwrap_or(0_u64) + 1))
    })
}

#[tokio::test]
async fn a_new_alias_marks_the_models_that_select_its_kind_as_changed() {
    let (all, some) = (EventFilter::all, |kind: EventType| EventFilter::events([kind]));
    let of_streams = |kind: EventType| some(kind).stored_aggregate_type("a");
    let (before, after) = (before::Of::SUM_RECEIVED, after::Of::SUM_RECEIVED);
    let (other, same) = (before::Of::ACCOUNT_LOCKED, after::Of::ACCOUNT_LOCKED);
    for (before, after, is_changed) in [
        (EventFilter::of::<before::Of>(), EventFilter::of::<after::Of>(), true),
        (some(before), some(after), true),
        (of_streams(before), of_streams(after), true),
        (some(other), some(same), false),
        (all(), all(), false),
    ] {
        let print = |filter: &EventFilter| selecting(filter).fingerprint().to_owned();
        assert_eq!(print(&before) != print(&after), is_changed, "{before:?}, {after:?}");
        let store = Arc::new(MemoryStore::new());
        let caught_up = async |filter: &EventFilter| {
            let mut runner = Runner::new(store.clone()).definition(selecting(filter));
            let ended = runner.catch_up().await;
            runner.release().await;
            ended.map_err(|error| error.stopped[0].cause.kind())
        };
        assert_eq!(caught_up(&before).await, Ok(()));
        let expected = if is_changed { Err(TroubleKind::Changed) } else { Ok(()) };
        assert_eq!(caught_up(&after).await, expected, "{after:?}");
    }
}
