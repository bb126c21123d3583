//! How far the active models have come, asked once for all who wait.

use std::collections::HashMap;
use std::sync::Arc;

use es_core::backend::{Position, SinkError, StoreError};
use sqlx::Row;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Projections;
use crate::connection::Doing;
use crate::row::position;

/// The last look.
#[derive(Default)]
pub(super) struct Reached(Mutex<Option<Look>>);

#[derive(Clone)]
struct Look {
    began: Instant,
    places: Arc<HashMap<String, Position>>,
}

impl Projections {
    /// True if the active model has come to the position, by a look that begins now or later. Those
    /// who ask at the same time share it.
    pub(super) async fn has_reached(
        &self,
        projection: &str,
        position: Position,
    ) -> Result<bool, SinkError> {
        let asked = Instant::now();
        let mut last = self.reached.0.lock().await;
        let look = match &*last {
            Some(look) if look.began > asked => look.clone(),
            _ => {
                let look = Look { began: Instant::now(), places: Arc::new(self.places().await?) };
                last.insert(look).clone()
            }
        };
        drop(last);
        Ok(look.places.get(projection).is_some_and(|place| *place >= position))
    }

    async fn places(&self) -> Result<HashMap<String, Position>, StoreError> {
        let what = Doing("looking how far projections are", None);
        let statement = || sqlx::query(self.statements.projection_reached.sql());
        let rows = self.connections.rows(what, statement).await?;
        let read = rows.iter().map(|row| Ok((row.try_get(0)?, position(row.try_get(1)?))));
        let places: Result<_, sqlx::Error> = read.collect();
        places.map_err(|error| self.connections.failure(what, error))
    }
}
