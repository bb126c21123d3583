//! States that are kept in SQL.

use es_core::{Payload, Snapshotted};
use fastrand::Rng;
use turing_domain::Posting;

use crate::database::Database;
use crate::histories::any_event;
use crate::projected::Projected;
use crate::read_models::call;

#[test]
fn the_fingerprint_is_the_one_that_programs_ask_for() {
    let database = Database::new();
    database.runtime.block_on(async {
        let projected = Projected::new(&database.test).await;
        let fingerprint = projected.texts("SELECT posting_state_schema()").await;
        assert_eq!(fingerprint, [Posting::fingerprint()]);
    });
}

#[test]
fn a_kept_state_is_the_fold_at_its_version() {
    let database = Database::new();
    database.runtime.block_on(async {
        let projected = Projected::new(&database.test).await;
        projected.clear(1).await;
        let mut chance = Rng::with_seed(5);
        let mut kept = Vec::new();
        for version in 1..=45_i64 {
            projected.run(&call(1, &any_event(&mut chance))).await;
            // looked at now and then only: what was passed since counts
            if version % 3 == 0 {
                let answer = projected.texts("SELECT maybe_create_snapshot(1)::text").await;
                kept.extend((answer == ["true"]).then_some(version));
                let again = projected.texts("SELECT maybe_create_snapshot(1)::text").await;
                assert_eq!(again, ["false"]);
            }
        }
        assert_eq!(kept, [12, 21, 30, 42]);
        let versions = "SELECT event_sequence::text FROM posting_state_snapshots ORDER BY 1";
        assert_eq!(projected.texts(versions).await, ["12", "21", "30", "42"]);
        for version in kept {
            let state = format!(
                "SELECT state::text FROM posting_state_snapshots WHERE event_sequence = {version}"
            );
            let text = projected.texts(&state).await.remove(0);
            let folded = projected.fold(1, version).await;
            let read: Posting = serde_json::from_str(&text).unwrap();
            assert_eq!(Payload::of(&read).unwrap(), Payload::of(&folded.state).unwrap());
            assert_eq!(Payload::parse(text).unwrap(), Payload::of(&folded.state).unwrap());
        }
        let none = "SELECT maybe_create_snapshot(1, 0)::text, maybe_create_snapshot(1, NULL)::text";
        assert_eq!(projected.texts(none).await, ["false"]);
        assert_eq!(projected.texts("SELECT maybe_create_snapshot(1, 1)::text").await, ["true"]);
        assert_eq!(
            projected
                .texts(
                    "SELECT count(*)::text FROM validate_event_store() WHERE kind LIKE 'snapshot%'"
                )
                .await,
            ["0"]
        );
    });
}
