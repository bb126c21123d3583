//! What `turing run` and `turing check` see of postings before anything is done with them.

use std::collections::BTreeSet;

use super::Failure;
use super::output::{Output, shown};
use super::telling::tell;
use super::told::Told;
use crate::postings::{PostingSource, RefusedPosting};

/// What a first look at postings finds.
pub(super) struct Seen {
    place: String,
    keys: BTreeSet<String>,
    readable: usize,
    /// Where those stand that are refused.
    refused: BTreeSet<String>,
}

impl Seen {
    /// Looks at all of them, and tells what is passed over or refused; `count` is told how many were
    /// looked at by then.
    pub(super) fn of(postings: &PostingSource, count: impl Fn(usize)) -> Result<Self, Failure> {
        let (keys, refused) = (BTreeSet::new(), BTreeSet::new());
        let mut seen = Self { place: postings.to_string(), keys, readable: 0, refused };
        let reader = postings.read()?;
        if let [first, ..] = reader.passed_over() {
            tell(format_args!(
                "passed over in {}: {} that are no .json, .jsonl, .ndjson, .txt or .md files, such \
                 as {}",
                shown(&seen.place, 300),
                reader.passed_over().len(),
                shown(&first.display().to_string(), 300)
            ));
        }
        for item in reader {
            match item {
                Ok(posting) => {
                    seen.readable += 1;
                    seen.keys.extend(posting.data.into_iter().map(|(key, _)| key));
                }
                Err(refused) => {
                    tell_refused(&refused);
                    seen.refused.insert(refused.source_name);
                }
            }
            count(seen.count());
        }
        Ok(seen)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.readable + self.refused.len()
    }

    /// True if there is nothing there, which for whoever looks every minute is no error.
    pub(super) fn is_nothing(&self) -> bool {
        self.readable == 0 && self.refused.is_empty()
    }

    /// Every key that some posting's data has.
    ///
    /// # Errors
    ///
    /// When none could be read, so that nothing says which keys their data has.
    pub(super) fn keys(&self) -> Result<&BTreeSet<String>, Failure> {
        match self.readable {
            0 => {
                let (place, refused) = (self.place.clone(), self.refused.len());
                Err(Failure::NoPostings { place, refused })
            }
            _ => Ok(&self.keys),
        }
    }

    /// True if this refusal was told.
    pub(super) fn has_told(&self, refused: &RefusedPosting) -> bool {
        self.refused.contains(&refused.source_name)
    }

    /// Prints that there is nothing there.
    pub(super) fn print_nothing(&self, json: bool, output: &mut Output) {
        match json {
            true => output.json(&Told::nothing()),
            false => output.line(format_args!(
                "Nothing to do: {} holds no postings.",
                shown(&self.place, 300)
            )),
        }
    }
}

pub(super) fn tell_refused(refused: &RefusedPosting) {
    tell(format_args!("refused: {}", shown(&refused.to_string(), 300)));
}

/// Why there is no posting where so many are refused.
pub(super) fn none_of(refused: usize) -> String {
    match refused {
        0 => "it holds none".to_owned(),
        1 => "the only one is refused".to_owned(),
        count => format!("all {count} are refused"),
    }
}
