//! Ids of postings for scripts: printed one a line, and read so from standard input.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};

use serde_json::json;
use turing_domain::{EndReason, FailureType, PostingId};

use super::arguments::ShowArgs;
use super::output::{Output, counted, shown};
use super::telling::tell;
use super::{Failure, Verdict, run_name};
use crate::account::{RunAccount, account_of};
use crate::run::postings_of;
use crate::store::Store;

/// So much of a line is kept: no id has more.
const LONGEST: usize = 64;

/// So many ids, or lines that are none, are told to people at once.
const NAMED: usize = 20;

/// Reads ids, one a line; empty lines are none. No line takes more memory than an id.
pub(super) struct Ids<R> {
    reader: BufReader<R>,
    lines: usize,
}

/// What stands on a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Id(PostingId),
    /// Something else, on the line of this number, from 1.
    Other {
        number: usize,
        text: String,
    },
}

impl<R: Read> Ids<R> {
    pub(super) fn of(reader: R) -> Self {
        Self { reader: BufReader::new(reader), lines: 0 }
    }

    /// True if the next line may have to be waited for.
    pub(super) fn may_wait(&self) -> bool {
        self.reader.buffer().is_empty()
    }

    /// The next line that is not empty; `None` at the end.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Line>> {
        while let Some(line) = self.line()? {
            self.lines += 1;
            let text = String::from_utf8_lossy(&line);
            let text = text.trim();
            if text.is_empty() {
                continue;
            }
            return Ok(Some(match text.parse() {
                Ok(posting) => Line::Id(posting),
                Err(_) => Line::Other { number: self.lines, text: text.to_owned() },
            }));
        }
        Ok(None)
    }

    /// The beginning of the next line; `None` at the end.
    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let (mut line, mut has_begun) = (Vec::new(), false);
        loop {
            let buffer = match self.reader.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if buffer.is_empty() {
                return Ok(has_begun.then_some(line));
            }
            has_begun = true;
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let part = &buffer[..end.unwrap_or(buffer.len())];
            line.extend(part.iter().take(LONGEST.saturating_sub(line.len())));
            let taken = part.len() + usize::from(end.is_some());
            self.reader.consume(taken);
            if end.is_some() {
                return Ok(Some(line));
            }
        }
    }
}

/// All ids on standard input, each of whose lines must be one.
pub(super) fn listed() -> Result<BTreeSet<PostingId>, Failure> {
    let (mut ids, mut listed, mut wrong) = (Ids::of(io::stdin()), BTreeSet::new(), 0_usize);
    while let Some(line) = ids.next_line().map_err(unheard)? {
        match line {
            Line::Id(posting) => {
                listed.insert(posting);
            }
            Line::Other { number, text } => {
                wrong += 1;
                if wrong <= NAMED {
                    tell(no_id(number, &text));
                }
            }
        }
    }
    if wrong == 0 {
        return Ok(listed);
    }
    let lines = counted(wrong, "line");
    let what = format!(
        "standard input has {lines} without the id of a posting, so that nothing is begun; give it an \
         id a line"
    );
    Err(Failure::Usage { what })
}

/// Why there is nothing on standard input.
pub(super) fn unheard(error: io::Error) -> Failure {
    Failure::Usage { what: format!("the ids on standard input cannot be read: {error}") }
}

/// What is told of a line that is no id.
pub(super) fn no_id(number: usize, text: &str) -> String {
    format!("line {number} of standard input is no posting's id: `{}`", shown(text, 40))
}

/// The postings, as far as people read them.
pub(super) fn first_of(postings: &[PostingId]) -> String {
    let named: Vec<_> = postings.iter().take(NAMED).map(PostingId::to_string).collect();
    let rest = postings.len().saturating_sub(NAMED);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{}{more}", named.join(", "))
}

/// Prints the ids of those postings of a run that are asked for.
pub(super) async fn tell_ids(
    store: &Store,
    args: &ShowArgs,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let run_id = run_name::find(store, &args.run).await?;
    let mut account = account_of(store, run_id, None).await?;
    let ids: Vec<PostingId> = match &args.failed {
        Some(kind) => {
            only_failed_of(&mut account, kind);
            account.failed_postings.iter().map(|failed| failed.posting_id).collect()
        }
        None if args.open => account.open_postings,
        None if args.waiting => {
            let waiting = account.waiting_attempts.iter();
            let mut ids: Vec<_> = waiting.map(|waiting| waiting.posting_id).collect();
            ids.sort_unstable();
            ids.dedup();
            ids
        }
        None => postings_of(store, account.run_id).await?,
    };
    match args.common.json {
        true => output.json(&json!({
            "run_id": account.run_id,
            "workflow_id": account.workflow_id,
            "posting_ids": ids,
        })),
        false => ids.iter().for_each(|id| output.text(id)),
    }
    Ok(Verdict::Well)
}

/// Leaves of what failed in a run only what failed of this kind, or ended for this reason; an empty text
/// leaves all.
pub(super) fn only_failed_of(account: &mut RunAccount, kind: &str) {
    if kind.is_empty() {
        return;
    }
    let is_of = |failure_type: &Option<FailureType>| {
        failure_type.as_ref().is_some_and(|failure_type| failure_type.as_str() == kind)
    };
    let ended_of = |reason: &EndReason| reason.as_str() == kind;
    account
        .failed_postings
        .retain(|failed| ended_of(&failed.reason) || is_of(&failed.failure_type));
    account.other_failures.retain(|failed| is_of(&failed.failure_type));
    account.waiting_attempts.retain(|waiting| is_of(&waiting.failure_type));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Vec<Line> {
        let mut ids = Ids::of(text);
        std::iter::from_fn(|| ids.next_line().unwrap()).collect()
    }

    fn other(number: usize, text: &str) -> Line {
        Line::Other { number, text: text.to_owned() }
    }

    #[test]
    fn a_line_is_an_id_or_is_named_by_its_number() {
        let id = |id| Line::Id(PostingId(id));
        assert!(read(b"").is_empty());
        assert_eq!(read(b"7"), [id(7)]);
        assert_eq!(read(b" 7\r\n\n-8\n"), [id(7), id(-8)]);
        assert_eq!(read(b"7\nseven\n8\n"), [id(7), other(2, "seven"), id(8)]);
        assert_eq!(read(b"\n\n99999999999"), [other(3, "99999999999")]);
        assert_eq!(read(b"\xff\n"), [other(1, "\u{fffd}")]);
    }

    #[test]
    fn a_line_without_an_end_takes_no_memory() {
        let text = [vec![b'7'; 100_000], b"\n8\n".to_vec()].concat();
        assert_eq!(read(&text), [other(1, &"7".repeat(LONGEST)), Line::Id(PostingId(8))]);
    }
}
