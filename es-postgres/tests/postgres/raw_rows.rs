//! Rows written by hand, also without the rules for them: each costs at most itself.

use std::sync::Arc;

use es_core::backend::{EventStore, ReadStream, StoreErrorKind};
use es_postgres::sqlx::{self, AssertSqlSafe, ConnectOptions};
use es_testing::raw_rows;
use fastrand::Rng;

use crate::support::{empty_store, key, run, to};

const LAWLESS: &str = "
    ALTER TABLE execution_events
        DISABLE TRIGGER execution_events_check_row,
        ALTER aggregate_type DROP NOT NULL,
        ALTER aggregate_id DROP NOT NULL,
        ALTER aggregate_version DROP NOT NULL,
        ALTER event_type DROP NOT NULL,
        ALTER event_data DROP NOT NULL";

#[tokio::test]
async fn whatever_stands_in_a_row_costs_at_most_itself() {
    let (database, store) = empty_store().await;
    let store = Arc::new(store);
    store.append(to("account/good")).await.unwrap();
    run(&database, LAWLESS).await;
    let mut chance = Rng::with_seed(5);
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let mut rows = Vec::new();
    for row in 0..raw_rows::rows() {
        let mut columns = [
            "'account'".to_owned(),
            format!("'odd{}'", row % 50),
            (row + 1).to_string(),
            "'script_execution_completed'".to_owned(),
            quoted(&raw_rows::json(&mut chance)),
            quoted(&raw_rows::metadata(&mut chance)),
            "now()".to_owned(),
        ];
        let (column, text) = (chance.usize(0..14), quoted(&raw_rows::text(&mut chance)));
        let texts = [text.as_str(), "NULL"];
        let odd: &[&str] = match column {
            // what an index entry cannot hold is refused by it
            0 | 1 if text.len() > 2_000 => &["NULL", "''"],
            0 | 1 => &texts,
            2 => &["NULL", "-5", "2147483647"],
            3 => &texts,
            4 => &["NULL", "'null'"],
            5 => &["NULL", "'null'", "'[1]'", "'\"x\"'", "'1e400'"],
            6 => &["NULL", "'infinity'", "'-infinity'", "'4713-01-01 BC'", "'294276-12-31'"],
            _ => &[],
        };
        if !odd.is_empty() {
            columns[column] = odd[chance.usize(0..odd.len())].to_owned();
        }
        rows.push(format!(
            "INSERT INTO execution_events (aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata, created_at)
             VALUES ({}) ON CONFLICT DO NOTHING;",
            columns.join(", ")
        ));
    }
    let mut connection = database.options().connect().await.unwrap();
    for row in &rows {
        let written = sqlx::raw_sql(AssertSqlSafe(row.as_str())).execute(&mut connection).await;
        // what the server itself cannot keep: no value of its type, or too long for an index
        let Err(error) = written else { continue };
        let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default();
        assert!(code.starts_with("22") || code == "54000", "{error}: {row}");
    }
    store.append(to("account/good")).await.unwrap();
    let count: i64 =
        crate::support::value(&database, "SELECT count(*) FROM execution_events").await;
    let well = "account/good".parse().unwrap();
    let log = raw_rows::check_readers(store, usize::try_from(count).unwrap(), &well).await;
    for column in ["aggregate_id", "aggregate_version", "event_type", "metadata", "event_data"] {
        let is_told = log.iter().any(|event| {
            event.payload.unreadable_because().is_some_and(|reason| reason.starts_with(column))
        });
        assert!(is_told, "{column}");
    }
}

#[tokio::test]
async fn a_row_in_another_spelling_is_read_as_every_store_reads_it() {
    let (database, store) = empty_store().await;
    for (version, (text, _)) in (1..).zip(raw_rows::SPELLINGS) {
        run(
            &database,
            &format!(
                "INSERT INTO execution_events (aggregate_type, aggregate_id, aggregate_version, event_type,
                     event_data, metadata)
                 VALUES ('account', 'spelt', {version}, 'x', '{text}', '{{\"x\":{text}}}')"
            ),
        )
        .await;
    }
    let stream = ReadStream::new("account/spelt".parse().unwrap());
    let page = store.read_stream(&stream).await.unwrap();
    assert_eq!(page.events.len(), raw_rows::SPELLINGS.len());
    for (event, (_, expected)) in page.events.iter().zip(raw_rows::SPELLINGS) {
        raw_rows::check_spelling(event, expected);
    }
}

#[tokio::test]
async fn a_key_written_by_hand_costs_that_key() {
    let (database, store) = empty_store().await;
    let first = store.append(to("account/full")).await.unwrap();
    run(&database, LAWLESS).await;
    for (version, name, size) in
        [(2_147_483_647, "last", "2147483647"), (7, "none", "0"), (6, "negative", "-2147483648")]
    {
        run(
            &database,
            &format!(
                "INSERT INTO execution_events (aggregate_type, aggregate_id, aggregate_version, event_type,
                     event_data, idempotency_key, append_size, append_part, append_id)
                 VALUES ('account', 'full', {version}, 'x', '{{}}', '{name}', {size}, -1, gen_random_uuid())"
            ),
        )
        .await;
        let stream = "account/full".parse().unwrap();
        let found = store.find_append(&stream, &key(name)).await.unwrap().unwrap();
        assert_eq!(found.streams[0].events.len(), 1, "{name}");
    }
    let page = store.read_stream(&ReadStream::new("account/full".parse().unwrap())).await.unwrap();
    assert_eq!(page.events[0].event_id, first.streams[0].events[0].event_id);
    // a size that is no append's is not read to its end
    run(
        &database,
        "INSERT INTO execution_events (aggregate_type, aggregate_id, aggregate_version, event_type,
             event_data, idempotency_key, append_size, append_part, append_id)
         SELECT 'account', 'long', n, 'x', '{}', CASE n WHEN 1 THEN 'huge' END,
             CASE n WHEN 1 THEN 2147483647 END, CASE n WHEN 1 THEN 0 END,
             CASE n WHEN 1 THEN gen_random_uuid() END
         FROM generate_series(1, 100002) n",
    )
    .await;
    let found = store.find_append(&"account/long".parse().unwrap(), &key("huge")).await;
    let error = found.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
}
