//! The sentences.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use es_core::event::Timestamp;
use turing_domain::{EndReason, FailureType};

use super::{Why, Worked};
use crate::proposal::command;

/// An instant to the second, for people.
pub(super) fn second(time: Timestamp) -> String {
    DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Secs, true)
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unregistered => f.write_str("not in this store: no posting of this id is registered"),
            Self::NoRun { is_imported: false, .. } => {
                f.write_str("in no run, so that nothing is done with it")
            }
            Self::NoRun { is_terminal: false, .. } => f.write_str(
                "in no run: its state was imported from another system, and it has entered none since",
            ),
            Self::NoRun { .. } => {
                f.write_str("in no run, and ended, as a state says that was imported")
            }
            Self::NotInRun { run_id, now_in: None } => write!(f, "not in run {run_id}"),
            Self::NotInRun { run_id, now_in: Some(now_in) } => {
                write!(f, "not in run {run_id}, but in run {now_in}")
            }
            Self::Unreadable { stream, version, reason } => write!(
                f,
                "at a place that is not known, since event {version} of {stream} cannot be read: {reason}"
            ),
            Self::Ended { .. } => self.ended(f),
            Self::RunOver { run_id, outcome } => write!(
                f,
                "open in run {run_id}, which {outcome}: it waits for nothing, and the next run may take it"
            ),
            Self::Unrouted { place, worked } => write!(
                f,
                "done at {place}, and what follows is not recorded, which the run does when it goes \
                 on; {worked}"
            ),
            Self::Missing { place } => write!(
                f,
                "held at {place}, which the definition of its run lacks, or whose actor it lacks; give \
                 the run another definition with `{}`",
                command("run migrate RUN --definition FILE")
            ),
            Self::NoDefinition { place, reason, worked } => write!(
                f,
                "open at {place}, and whether it is ready there is not known, because {reason}; {worked}"
            ),
            Self::Group { place, group, open } => {
                let open: Vec<_> = open.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "waits at {place} for group {group}, {} of which {} open: {}",
                    open.len(),
                    if open.len() == 1 { "is" } else { "are" },
                    open.join(", ")
                )
            }
            Self::Person { place, actor, since, due_at, is_overdue, claimed_by, worked } => {
                write!(f, "waits at {place} for a person, {actor}{}", since_when(*since))?;
                if let Some(by) = claimed_by {
                    write!(f, "; claimed by {by}")?;
                }
                match (due_at, is_overdue) {
                    (None, _) => Ok(()),
                    (Some(due_at), false) => write!(f, "; due {}", second(*due_at)),
                    (Some(due_at), true) => write!(
                        f,
                        "; overdue since {}, which the run records when it goes on; {worked}",
                        second(*due_at)
                    ),
                }
            }
            Self::Retry { .. } => self.retry(f),
            Self::Breaker { .. } => self.breaker(f),
            Self::Cancelling { .. } | Self::Paused { .. } => self.asked(f),
            Self::Ready { place, since, may_be_paused, worked } => {
                write!(f, "ready at {place}{}", since_when(*since))?;
                match (worked, may_be_paused) {
                    (Worked::Process { process }, false) => write!(
                        f,
                        ": process {process} works on this run, and makes the attempt now, or as soon \
                         as a slot is free"
                    ),
                    (Worked::Process { process }, true) => write!(
                        f,
                        ": process {process} works on this run, and makes the attempt now, or as soon \
                         as a slot is free, or waits for a pause that its endpoint asked for; standard \
                         error of that process tells"
                    ),
                    (Worked::Nobody { .. } | Worked::Perhaps { .. }, _) => {
                        write!(f, ", and {worked}")
                    }
                    (Worked::Unknown, _) => write!(f, "; {worked}"),
                }
            }
        }
    }
}

impl Why {
    fn retry(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Retry { place, attempt, due_at, is_due, failure_type, worked } = self else {
            return Ok(());
        };
        let due_at = second(*due_at);
        match is_due {
            false => write!(f, "waits at {place} for attempt {attempt}, due at {due_at}")?,
            true => write!(f, "ready at {place} for attempt {attempt}, due since {due_at}")?,
        }
        if let Some(failure_type) = failure_type {
            write!(f, ", as the one before failed: {failure_type}")?;
        }
        write!(f, "; {worked}")
    }

    fn breaker(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Breaker { place, actor, until, is_over, is_tried, failures, worked } = self
        else {
            return Ok(());
        };
        let (until, reset) =
            (second(*until), command(format_args!("actor reset {}", actor.actor_id)));
        let noun = if *failures == 1 { "failure" } else { "failures" };
        write!(f, "held at {place} by the circuit breaker of {actor}")?;
        match (is_over, is_tried) {
            (false, false) => write!(f, " until {until}")?,
            (false, true) => {
                write!(f, " until one call, which is under way, has ended, or until {until}")?;
            }
            (true, _) => {
                write!(f, ", whose time was over at {until}: one call is let through first")?
            }
        }
        write!(
            f,
            ", after {failures} {noun} in a row; once the cause is mended, `{reset}` closes it"
        )?;
        match worked {
            // the breaker is the reason, and not the process
            Worked::Process { .. } | Worked::Unknown => Ok(()),
            Worked::Nobody { .. } | Worked::Perhaps { .. } => write!(f, "; {worked}"),
        }
    }

    /// What operators asked for.
    fn asked(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ends_it, worked) = match self {
            Self::Cancelling { place, by, because, ends_it, worked } => {
                write!(
                    f,
                    "held at {place}, since its run is being cancelled, as {by} wants: {because}"
                )?;
                return match worked {
                    Worked::Process { .. } | Worked::Unknown => write!(f, "; {worked}"),
                    Worked::Nobody { .. } | Worked::Perhaps { .. } => {
                        write!(f, "; nobody works on this run: `{ends_it}` ends it")
                    }
                };
            }
            Self::Paused { place, what, by, because, since, until, ends_it, worked } => {
                write!(f, "held at {place}, since {what} paused by {by}{}", since_when(*since))?;
                if let Some(until) = until {
                    write!(f, " until {}", second(*until))?;
                }
                write!(f, ": {because}")?;
                (ends_it, worked)
            }
            _ => return Ok(()),
        };
        write!(f, "; `{ends_it}` ends the pause")?;
        match worked {
            // the pause is the reason, and not the process
            Worked::Process { .. } | Worked::Unknown => Ok(()),
            Worked::Nobody { .. } | Worked::Perhaps { .. } => write!(f, "; {worked}"),
        }
    }

    fn ended(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Ended { at, reason, conversation_id, rule, to, failure_type, .. } = self else {
            return Ok(());
        };
        match reason {
            Some(reason) => write!(f, "ended as {reason} at {}", second(*at))?,
            None => write!(f, "ended at {}", second(*at))?,
        }
        if let Some(id) = conversation_id {
            write!(f, " at conversation {id}")?;
        }
        let failed = failure_type.as_ref().map(FailureType::to_string);
        let failed = failed.map(|failed| format!("the last attempt there failed: {failed}"));
        match (reason, rule, to) {
            (Some(EndReason::Completed), Some(rule), _) => {
                write!(f, ", by its rule {rule}")?;
                failed.map_or(Ok(()), |failed| write!(f, "; {failed}"))
            }
            (Some(EndReason::NoMatchingBranch), ..) => f.write_str(", of whose rules none matched"),
            (Some(EndReason::IterationLimit), Some(rule), _) => {
                write!(f, ", whose rule {rule} had been taken as often as it may be")
            }
            (Some(EndReason::LoopGuard), _, Some(to)) => {
                write!(f, ", since conversation {to} had been run as often as it may be")
            }
            (Some(EndReason::RunBudget), ..) => {
                f.write_str(", having run as many conversations as a posting may")
            }
            (Some(EndReason::ActorFailed), ..) => {
                let failed = failed.unwrap_or_else(|| "the last attempt there failed".to_owned());
                write!(f, ": {failed}, and no failure rule matched")
            }
            (Some(EndReason::Abandoned), ..) => f.write_str(", because its run was given up"),
            _ => Ok(()),
        }
    }
}

fn since_when(since: Option<Timestamp>) -> String {
    since.map_or_else(String::new, |since| format!(" since {}", second(since)))
}
