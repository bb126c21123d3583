//! Taking a page of the log into a model, within the transaction of the append.

use std::collections::HashMap;
use std::ops::ControlFlow;

use es_core::backend::rules::inline_refusal;
use es_core::backend::{Batch, Checkpoint, Content, LogPage, PageLimit, Position, SinkError};
use es_core::event::{Payload, RecordedEvent};
use futures_util::TryStreamExt;
use sqlx::PgConnection;

use super::super::{Projections, row};
use super::{CHANGING, Held};
use crate::projection::commit::number;
use crate::read::{Filling, LOOKED_AT, one_more};
use crate::row::Reached;

impl Projections {
    /// Takes a page of what is up to `to`. Everything up to there must be decided.
    pub(super) async fn take_page(
        &self,
        connection: &mut PgConnection,
        held: &mut Held,
        to: Position,
    ) -> Result<(), SinkError> {
        let from = held.lease.checkpoints.first().cloned().unwrap_or(Checkpoint::START);
        let page = self.page(connection, held, from.position, to).await?;
        let to = from.after(&page);
        let events = page.events;
        let mut batch = Batch::moving(0, from, to.clone());
        batch.events = events.len() as u64;
        batch.content = self.content(connection, held, &events).await?;
        let written = self.write_within(connection, &held.lease, &batch).await;
        written.map_err(|error| match error {
            SinkError::Refused { .. } => inline_refusal(&held.definition, error.into()).into(),
            other => other,
        })?;
        held.lease.checkpoints = vec![to];
        Ok(())
    }

    async fn page(
        &self,
        connection: &mut PgConnection,
        held: &Held,
        from: Position,
        to: Position,
    ) -> Result<LogPage, SinkError> {
        let names = |names: Vec<String>| (!names.is_empty()).then_some(names);
        let (limit, selection) = (PageLimit::default(), held.definition.selection());
        let statement = sqlx::query(self.statements.read_log_filtered.sql())
            .bind(number(from.to_sequence()))
            .bind(number(to.to_sequence()))
            .bind(one_more(limit.events))
            .bind(names(selection.aggregate_types.iter().cloned().collect()))
            .bind(names(selection.event_types.iter().map(ToString::to_string).collect()))
            .bind(LOOKED_AT)
            .bind(true)
            .bind(selection.id_prefix.as_deref().map(str::to_owned));
        let statement = statement.persistent(self.is_persistent);
        let connector = self.connections.connector();
        let mut filling = Filling::new(limit, limit.events, &connector.place.as_str().into());
        let mut reached = Reached::default();
        // row by row: a page is bounded in bytes, and what comes behind it is not kept
        let filled = async {
            let mut rows = statement.fetch(&mut *connection);
            while let Some(row) = rows.try_next().await? {
                reached.learn(&row)?;
                match filling.take(&row, None) {
                    Ok(ControlFlow::Continue(())) => {}
                    Ok(ControlFlow::Break(())) => break,
                    Err(error) => return Ok(Err(error)),
                }
            }
            Ok(Ok(()))
        };
        connector.in_time(filled).await.map_err(|error| connector.failure(CHANGING, error))??;
        let (events, is_full) = filling.end();
        let (next, last) = match events.last().filter(|_| is_full) {
            Some(last) => (last.position, Some(last.into())),
            None => (reached.position.unwrap_or(to), reached.event),
        };
        Ok(LogPage::new(events, next, last, !is_full && next >= to))
    }

    /// What the events do to the model.
    async fn content(
        &self,
        connection: &mut PgConnection,
        held: &Held,
        events: &[RecordedEvent],
    ) -> Result<Content, SinkError> {
        let Held { definition, lease } = held;
        if events.is_empty() {
            return Ok(Content::Rows(Vec::new()));
        }
        let refused = |error| inline_refusal(definition, error);
        if definition.has_tables() {
            return Ok(Content::Tables(definition.table_changes(events).map_err(refused)?));
        }
        let keys = definition.keys_of(events).map_err(refused)?;
        let statement = sqlx::query(self.statements.projection_load.sql())
            .bind(lease.projection.clone())
            .bind(lease.slot.as_str())
            .bind(keys);
        let found = self.rows_within(connection, statement).await?;
        let mut rows: HashMap<String, Payload> = HashMap::new();
        for row in &found {
            let read = self.read(CHANGING, || row::model_row(row))?;
            rows.extend(read.map(|row| (row.key, row.value)));
        }
        Ok(Content::Rows(definition.changes(events, &rows).map_err(refused)?))
    }
}
