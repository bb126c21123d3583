//! A step of an older program: its event, and its row of the old table, in one transaction.

use std::error::Error;

use es_postgres::sqlx::{Connection, PgConnection};
use serde_json::json;
use turing::cutover::{DualEvent, dual_write};
use turing_domain::PostingId;

/// Writes down that conversation 9104 has answered for a posting. Answers the number of the event.
pub(crate) async fn graded(
    connection: &mut PgConnection,
    posting: PostingId,
    answer: &str,
) -> Result<i32, Box<dyn Error>> {
    let (data, metadata) = (json!({"output": answer}), json!({"conversation_id": 9104}));
    let event = DualEvent::new("llm_call_completed", posting, &data).metadata(&metadata);
    // a column that no event knows
    let old_row = json!({"note": "in Rust"});
    let mut transaction = connection.begin().await?;
    let written = dual_write(&mut transaction, &"public".parse()?, &event, Some(&old_row)).await?;
    transaction.commit().await?;
    Ok(written.version)
}
