//! Changes of tables for the sink to carry out.

use std::error::Error;

use crate::error::BoxError;

use super::super::table::Project;
use super::super::{Batch, Checkpoint, Content, Parked, SinkError, StopCause, TableChange};
use super::group::Group;
use super::{Poison, Worker, unkeyed};

/// What the events of a part come to.
#[derive(Default)]
struct Projected {
    changes: Vec<TableChange>,
    park: Vec<Parked>,
    /// The first that could not be taken; behind it nothing was tried.
    failed: Option<(usize, BoxError)>,
}

impl Worker {
    /// Commits what the events, each with the key that it is parked under, change in tables.
    ///
    /// A sink refuses the transaction as a whole, so a part that is refused is halved until the event
    /// that cannot be taken stands alone.
    pub(super) async fn project(
        &mut self,
        project: &dyn Project,
        group: Group<'_>,
        to: &Checkpoint,
    ) -> Result<(), StopCause> {
        // the last part is dealt with first
        let mut parts = vec![group];
        while let Some(part) = parts.pop() {
            let Some((event, keys)) = part.iter().next() else { continue };
            let (event, key) = (*event, keys.first().cloned());
            let poison = |error: &(dyn Error + 'static)| {
                Poison::new(event, &key.unwrap_or_else(|| unkeyed(event)), error)
            };
            let end = match part.last() {
                Some(last) if !parts.is_empty() => Checkpoint::at(last),
                _ => to.clone(),
            };
            let mut batch = Batch::moving(self.slice, self.checkpoint.clone(), end);
            batch.events = part.len() as u64;
            let projected = self.projected(project, &part);
            let poison = match projected.failed {
                Some((index, _)) if part.len() > 1 => {
                    // what stands before it is taken first
                    let (first, rest) = part.split_at(index.max(1));
                    parts.push(rest);
                    parts.push(first);
                    continue;
                }
                Some((_, error)) => poison(&*error),
                None => {
                    let mut whole = batch.clone().content(Content::Tables(projected.changes));
                    whole.park = projected.park;
                    match self.commit(whole).await {
                        Err(SinkError::Refused { .. }) if part.len() > 1 => {
                            let (first, second) = part.halves();
                            parts.push(second);
                            parts.push(first);
                            continue;
                        }
                        Err(SinkError::Refused { source, .. }) => poison(&*source),
                        answer => {
                            answer?;
                            continue;
                        }
                    }
                }
            };
            let Some(attempts) = self.parking.attempts(event) else {
                return Err(poison.into());
            };
            batch.park.push(self.parked(&poison, attempts));
            self.commit(batch).await?;
        }
        Ok(())
    }

    fn projected(&self, project: &dyn Project, part: &Group<'_>) -> Projected {
        let mut projected = Projected::default();
        for (index, (event, keys)) in part.iter().enumerate() {
            // one that was given up has none
            let Some(key) = keys.first().filter(|key| !self.is_discarded(event, key)) else {
                continue;
            };
            if self.parked.contains(key) {
                projected.park.push(self.waiting(event, key));
                continue;
            }
            match project.project(event) {
                Ok(changes) => projected.changes.extend(changes),
                Err(error) => {
                    projected.failed = Some((index, error));
                    break;
                }
            }
        }
        projected
    }
}
