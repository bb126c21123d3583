//! What the switch of reads came to, for whoever asks later.

use serde::Serialize;
use turing_domain::{CutoverEvent, CutoverPhase};

use super::error::CutoverError;
use super::spelled::Spelled;
use super::work::Work;

/// What reading one posting by the old name took, before reads were switched and behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReadsMeasured {
    /// The median before it, in microseconds: of the old table.
    pub before_us: u64,
    /// The median behind it: of the events.
    pub after_us: u64,
    /// How many rows were read of each, by chance, one by one.
    pub sample: u32,
    /// How many rows the old table had when both sides began to be written.
    pub rows: u64,
    /// The statement that was measured, both times; `None` if the old table is gone.
    pub statement: Option<String>,
}

/// The same with the statement that reads by the old name, as the database writes it.
pub(super) async fn with_statement(
    work: &mut Work,
    reads: ReadsMeasured,
) -> Result<ReadsMeasured, CutoverError> {
    match Spelled::look(work).await {
        Ok(spelled) => Ok(ReadsMeasured { statement: Some(spelled.read), ..reads }),
        Err(CutoverError::TableGone { .. }) => Ok(reads),
        Err(error) => Err(error),
    }
}

/// What was measured with the last switch, if reads are switched.
pub(super) fn measured<'a>(
    history: impl Iterator<Item = &'a CutoverEvent>,
) -> Option<ReadsMeasured> {
    let (mut rows_then, mut found) = (0, None);
    for event in history {
        match event {
            CutoverEvent::DualWriteEnabled { rows, .. } => rows_then = *rows,
            CutoverEvent::ReadsSwitched { before_us, after_us, sample, .. } => {
                found = Some(ReadsMeasured {
                    before_us: *before_us,
                    after_us: *after_us,
                    sample: *sample,
                    rows: rows_then,
                    statement: None,
                });
            }
            CutoverEvent::CutoverRolledBack { to, .. } => {
                found = found.filter(|_| *to >= CutoverPhase::ReadsSwitched.number());
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_is_told_of_the_last_switch_and_while_it_holds() {
        let (by, reason) = ("ada".to_owned(), None);
        let begun =
            CutoverEvent::DualWriteEnabled { rows: 2089, by: by.clone(), reason: reason.clone() };
        let switched = |before_us| CutoverEvent::ReadsSwitched {
            before_us,
            after_us: 30,
            sample: 20,
            by: by.clone(),
            reason: reason.clone(),
        };
        let back = |from, to| CutoverEvent::CutoverRolledBack {
            from,
            to,
            written_back: 0,
            by: by.clone(),
            reason: reason.clone(),
        };
        let of = |history: &[CutoverEvent]| {
            measured(history.iter()).map(|reads| (reads.before_us, reads.after_us, reads.rows))
        };
        assert_eq!(of(std::slice::from_ref(&begun)), None);
        assert_eq!(of(&[begun.clone(), switched(60)]), Some((60, 30, 2089)));
        // the old table is out of use, and back
        assert_eq!(of(&[begun.clone(), switched(60), back(5, 4)]), Some((60, 30, 2089)));
        assert_eq!(of(&[begun.clone(), switched(60), back(4, 3)]), None);
        let anew = [begun, switched(60), back(4, 3), switched(70)];
        assert_eq!(of(&anew), Some((70, 30, 2089)));
    }
}
