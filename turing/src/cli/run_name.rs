//! The id of a run as people give it: whole, or the beginning of it.

use std::collections::BTreeSet;
use std::str::FromStr;

use es_core::event::{EventFilter, EventStoreExt, ReadLog};
use futures_util::TryStreamExt;
use turing_domain::{RunId, WorkflowEvent, WorkflowRuns};

use super::Failure;
use crate::proposal::command;
use crate::store::Store;

/// How many runs are named that begin alike.
const NAMED: usize = 5;

/// A whole id, or the beginning of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RunName {
    Whole(RunId),
    Beginning(String),
}

impl FromStr for RunName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(run_id) = text.parse() {
            return Ok(Self::Whole(run_id));
        }
        let beginning = text.to_ascii_lowercase();
        let can_begin = |c: char| c.is_ascii_hexdigit() || c == '-';
        // the longest is one character short of an id
        match (1..36).contains(&beginning.len()) && beginning.chars().all(can_begin) {
            true => Ok(Self::Beginning(beginning)),
            false => Err(format!(
                "give the id of a run, or the beginning of it, such as 0193a1d4; `{}` lists them",
                command("runs")
            )),
        }
    }
}

impl RunName {
    /// The run that is meant.
    ///
    /// # Errors
    ///
    /// When no run in the store has an id that begins so, or several have.
    pub(super) async fn find(&self, store: &Store) -> Result<RunId, Failure> {
        let beginning = match self {
            Self::Whole(run_id) => return Ok(*run_id),
            Self::Beginning(beginning) => beginning,
        };
        let filter =
            EventFilter::events([WorkflowEvent::WORKFLOW_STARTED]).aggregate::<WorkflowRuns>();
        let mut events = store.events.log(ReadLog::from_start().filter(filter));
        let mut found = BTreeSet::new();
        while let Some(event) = events.try_next().await? {
            // what cannot be read has no id either
            if let Ok(WorkflowEvent::WorkflowStarted { run_id, .. }) = event.decode_one()
                && let Some(run_id) = run_id.0
                && run_id.to_string().starts_with(beginning.as_str())
            {
                found.insert(run_id);
            }
        }
        match (found.len(), found.first()) {
            (1, Some(run_id)) => Ok(*run_id),
            (_, None) => Err(Failure::NotFound {
                what: format!(
                    "no run has an id that begins with {beginning}; `{}` lists them",
                    command("runs")
                ),
            }),
            (count, _) => {
                let named: Vec<_> = found.iter().take(NAMED).map(RunId::to_string).collect();
                let more = if count > NAMED { ", …" } else { "" };
                let what = format!(
                    "{count} runs have ids that begin with {beginning}: {}{more}; give more of the \
                     one that is meant",
                    named.join(", ")
                );
                Err(Failure::Usage { what })
            }
        }
    }
}

/// The run that is named, if one is.
pub(super) async fn find(store: &Store, name: &Option<RunName>) -> Result<Option<RunId>, Failure> {
    match name {
        Some(name) => name.find(store).await.map(Some),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_by_its_id_or_the_beginning_of_it() {
        let id = "0193a1d4-0000-7000-8000-000000000001";
        assert_eq!(id.parse(), Ok(RunName::Whole(id.parse().unwrap())));
        for beginning in ["0", "0193A1D4", "0193a1d4-0000-7000-8000-00000000000"] {
            let lower = beginning.to_ascii_lowercase();
            assert_eq!(beginning.parse(), Ok(RunName::Beginning(lower)));
        }
        for wrong in ["", "seven", "0193 ", "0193a1d4-0000-7000-8000-0000000000012"] {
            assert!(wrong.parse::<RunName>().is_err(), "{wrong}");
        }
    }
}
