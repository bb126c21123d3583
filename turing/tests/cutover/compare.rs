//! Every posting three times: as the old table has it, as the projection does, and folded in Rust.

use std::collections::{BTreeMap, BTreeSet};

use es_core::Aggregate;
use es_core::event::{EventFilter, EventStoreExt, Payload, ReadLog};
use es_postgres::sqlx::{self, AssertSqlSafe, Row};
use futures_util::TryStreamExt;
use serde_json::Value;
use turing_domain::{ConversationId, Posting, PostingEvent};

use crate::scene::Scene;

/// A posting, as one of the three says that it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct State {
    pub(crate) current: Option<ConversationId>,
    pub(crate) sequence: Vec<ConversationId>,
    pub(crate) outputs: BTreeMap<ConversationId, Payload>,
    pub(crate) is_terminal: bool,
}

pub(crate) type States = BTreeMap<i32, State>;

/// Outputs as a table has them; one that is null is none.
fn outputs(text: &str) -> BTreeMap<ConversationId, Payload> {
    let document = Payload::parse(text.to_owned()).unwrap();
    let mut outputs: BTreeMap<ConversationId, Payload> = document.decode().unwrap();
    outputs.retain(|_, output| output.as_str() != "null");
    outputs
}

/// The steps of an old row, each an object that names its conversation.
fn steps(text: &str) -> Vec<ConversationId> {
    let steps: Vec<Value> = serde_json::from_str(text).unwrap();
    let ids = steps.iter().map(|step| step["conversation_id"].as_i64().unwrap());
    ids.map(|id| ConversationId(id.try_into().unwrap())).collect()
}

impl Scene {
    /// What the old table has under this name, and each posting's counter.
    pub(crate) async fn old_states(&self, table: &str) -> (States, BTreeMap<i32, usize>) {
        let statement = format!(
            "SELECT posting_id, current_conversation_id, outputs::text, conversation_history::text,
                 is_terminal, execution_count
             FROM {table}"
        );
        let rows = sqlx::query(AssertSqlSafe(statement)).fetch_all(&self.pool).await.unwrap();
        let (mut states, mut counters) = (States::new(), BTreeMap::new());
        for row in rows {
            let posting: i32 = row.get(0);
            let state = State {
                current: row.get::<Option<i32>, _>(1).map(ConversationId),
                outputs: outputs(&row.get::<String, _>(2)),
                sequence: steps(&row.get::<String, _>(3)),
                is_terminal: row.get(4),
            };
            states.insert(posting, state);
            counters.insert(posting, row.get::<i32, _>(5).try_into().unwrap());
        }
        (states, counters)
    }

    /// The projection, which the database keeps.
    pub(crate) async fn projected_states(&self) -> States {
        let statement = sqlx::query(
            "SELECT posting_id, current_conversation_id, outputs::text, execution_sequence, is_terminal
             FROM posting_state_projection WHERE aggregate_version > 0",
        );
        let rows = statement.fetch_all(&self.pool).await.unwrap();
        let state = |row: &sqlx::postgres::PgRow| State {
            current: row.get::<Option<i32>, _>(1).map(ConversationId),
            outputs: outputs(&row.get::<String, _>(2)),
            sequence: row.get::<Vec<i32>, _>(3).into_iter().map(ConversationId).collect(),
            is_terminal: row.get(4),
        };
        rows.iter().map(|row| (row.get(0), state(row))).collect()
    }

    /// What the events say, folded in Rust.
    pub(crate) async fn folded_states(&self) -> States {
        let mut postings: BTreeMap<i32, Posting> = BTreeMap::new();
        let filter = EventFilter::all().aggregate::<Posting>();
        let mut log = self.store.log(ReadLog::from_start().filter(filter));
        while let Some(event) = log.try_next().await.unwrap() {
            let posting = postings.entry(event.stream.aggregate_id().parse().unwrap()).or_default();
            for event in event.decode::<PostingEvent>().unwrap() {
                posting.evolve(&event);
            }
        }
        let state = |posting: Posting| State {
            current: posting.current_conversation_id(),
            sequence: posting.execution_sequence().to_vec(),
            outputs: posting.outputs().clone(),
            is_terminal: posting.is_terminal(),
        };
        postings.into_iter().map(|(id, posting)| (id, state(posting))).collect()
    }

    /// All three agree about every posting; answers the states.
    #[track_caller]
    pub(crate) fn assert_equal(&self, table: &str, when: &str) -> States {
        let (old, projected, folded) = self.block_on(async {
            let (old, _) = self.old_states(table).await;
            (old, self.projected_states().await, self.folded_states().await)
        });
        assert_same(&projected, &folded, &format!("projection and fold, {when}"));
        assert_same(&old, &folded, &format!("old table and fold, {when}"));
        folded
    }

    /// Each counter of the old table is how many steps its row has.
    #[track_caller]
    pub(crate) fn assert_counters(&self, table: &str, when: &str) {
        let (states, counters) = self.block_on(self.old_states(table));
        for (posting, counter) in counters {
            let steps = states[&posting].sequence.len();
            assert_eq!(counter, steps, "the counter of posting {posting}, {when}");
        }
    }

    /// What events make of postings is what the projection shows; nothing is asked of an old table.
    #[track_caller]
    pub(crate) fn assert_projected(&self, when: &str) -> States {
        let (projected, folded) =
            self.block_on(async { (self.projected_states().await, self.folded_states().await) });
        assert_same(&projected, &folded, &format!("projection and fold, {when}"));
        folded
    }
}

/// Two sides have the same; who is on one side only is there as a posting that has not begun.
#[track_caller]
pub(crate) fn assert_same(left: &States, right: &States, what: &str) {
    let nothing = State::default();
    let postings: BTreeSet<_> = left.keys().chain(right.keys()).collect();
    let side = |states: &States, posting: i32| states.get(&posting).unwrap_or(&nothing).clone();
    let differ: Vec<_> = postings
        .into_iter()
        .map(|posting| (*posting, side(left, *posting), side(right, *posting)))
        .filter(|(_, left, right)| left != right)
        .collect();
    let first = differ.iter().take(3);
    let first: Vec<_> =
        first.map(|it| format!("posting {}: {:#?}\nand {:#?}", it.0, it.1, it.2)).collect();
    assert!(differ.is_empty(), "{what}: {} postings differ; {}", differ.len(), first.join("\n"));
}
