//! What is told of a call that runs a workflow as JSON: the same fields, whatever became of it.

use std::collections::BTreeMap;

use serde::Serialize;
use turing_domain::{ConversationId, RunId};

use crate::account::FrequentError;
use crate::breakers::OpenBreaker;
use crate::run::{
    Before, Cancelled, ConversationReport, Ending, GivenUp, Left, PausedNow, Report,
    WaitingForPeople, Without, peak_memory_bytes,
};

/// What was read before anything was run.
#[derive(Debug, Clone, Default)]
pub(super) struct Taken {
    pub(super) read: usize,
    pub(super) repeated: usize,
    /// What was refused, and why.
    pub(super) refused: Vec<String>,
}

/// All of it; the default is a call that had nothing to do.
#[derive(Debug, Default, Serialize)]
pub(super) struct Told<'a> {
    /// The run; where nothing was to be done, the last one that did it.
    run_id: Option<RunId>,
    is_continued: bool,
    read: usize,
    refused: Vec<String>,
    repeated: usize,
    completed_before: usize,
    postings: usize,
    open: usize,
    ended: Vec<Ending>,
    not_entered: usize,
    left: &'a [Left],
    people: &'a [WaitingForPeople],
    paused: &'a [PausedNow],
    cancelled: Option<&'a Cancelled>,
    gave_up: Option<&'a GivenUp>,
    without: &'a [Without],
    open_breakers: &'a [OpenBreaker],
    conversations: BTreeMap<ConversationId, &'a ConversationReport>,
    events: u64,
    peak_memory_bytes: Option<u64>,
    elapsed_ms: u64,
    /// The last run that had done it before, if nothing was to be done.
    already_completed: Option<RunId>,
    /// How many events were recorded, if that is known.
    added_events: Option<u64>,
    /// What most of the failed postings ended of, if that was read.
    errors: Option<&'a [FrequentError]>,
    /// How to go on, if it is not over.
    go_on: Option<&'a str>,
    /// What keeps read models from being up to date.
    read_models: &'a [String],
}

impl<'a> Told<'a> {
    /// There was nothing to be read.
    pub(super) fn nothing() -> Self {
        Self { added_events: Some(0), errors: Some(&[]), ..Self::default() }
    }

    /// What a run did.
    pub(super) fn of(
        report: &'a Report,
        errors: Option<&'a [FrequentError]>,
        go_on: Option<&'a str>,
        read_models: &'a [String],
    ) -> Self {
        Self {
            run_id: Some(report.run_id),
            is_continued: report.is_continued,
            read: report.read,
            refused: report.refused.iter().map(ToString::to_string).collect(),
            repeated: report.repeated,
            completed_before: report.completed_before,
            postings: report.postings,
            open: report.open,
            ended: report.ended.clone(),
            not_entered: report.not_entered,
            left: &report.left,
            people: &report.people,
            paused: &report.paused,
            cancelled: report.cancelled.as_ref(),
            gave_up: report.gave_up.as_ref(),
            without: &report.without,
            open_breakers: &report.open_breakers,
            conversations: report.conversations.iter().map(|(id, done)| (*id, done)).collect(),
            events: report.events,
            peak_memory_bytes: report.peak_memory_bytes,
            elapsed_ms: u64::try_from(report.elapsed.as_millis()).unwrap_or(u64::MAX),
            already_completed: None,
            added_events: Some(report.events),
            errors,
            go_on,
            read_models,
        }
    }

    /// What runs before had done already.
    pub(super) fn before(
        before: &'a Before,
        taken: &Taken,
        errors: Option<&'a [FrequentError]>,
        read_models: &'a [String],
    ) -> Self {
        let ended = before.ended().iter().map(|(reason, count)| Ending {
            reason: reason.clone(),
            conversation: None,
            postings: *count,
        });
        let run_id = before.runs().next_back();
        Self {
            run_id,
            read: taken.read,
            refused: taken.refused.clone(),
            repeated: taken.repeated,
            postings: before.postings(),
            ended: ended.collect(),
            gave_up: before.gave_up(),
            peak_memory_bytes: peak_memory_bytes(),
            already_completed: run_id,
            // who gives a run up records that
            added_events: before.gave_up().is_none().then_some(0),
            errors,
            read_models,
            ..Self::default()
        }
    }
}
