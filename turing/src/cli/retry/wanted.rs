//! Which of the postings that failed are wanted, as the command line says it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;

use serde::Serialize;
use serde_json::{Map, Value};
use turing_domain::{ConversationId, EndReason, FailureType, PostingId};

use crate::account::FailedEnd;
use crate::cli::arguments::WhichArgs;
use crate::cli::output::shown;
use crate::proposal::quoted;
use crate::registry::same_value;

/// So many different things are noted of what a filter left out; the others are counted together.
const DIFFERENT: usize = 20;

/// So many of them are told.
const TOLD: usize = 5;

/// So much of a value is noted.
const VALUE_CHARS: usize = 40;

/// The word that stands for ids on standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct StandardInput;

impl FromStr for StandardInput {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "-" => Ok(Self),
            _ => Err("give one run, and - for ids of postings on standard input".to_owned()),
        }
    }
}

/// A value at a place in the data of a posting.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) struct Field {
    pointer: String,
    value: Value,
    /// As it was given.
    text: String,
}

impl FromStr for Field {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((pointer, value)) if pointer.starts_with('/') => Ok(Self {
                pointer: pointer.to_owned(),
                value: serde_json::from_str(value).unwrap_or_else(|_| Value::from(value)),
                text: text.to_owned(),
            }),
            _ => Err("give a JSON pointer and a value, such as /place/country=AT".to_owned()),
        }
    }
}

/// One kind of what is asked for, of which a posting must have one.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Filter {
    Ids(BTreeSet<PostingId>),
    Reasons(Vec<EndReason>),
    Conversations(Vec<ConversationId>),
    Failures(Vec<FailureType>),
    Field { pointer: String, values: Vec<Value> },
}

/// Whether a posting has what is asked for, and otherwise what it has.
type Fit = Result<(), String>;

impl Filter {
    /// What it says of how a posting ended; nothing if it asks for its data.
    fn of_end(&self, posting: PostingId, end: &FailedEnd) -> Option<Fit> {
        let (has, found) = match self {
            Self::Ids(ids) => (ids.contains(&posting), String::new()),
            Self::Reasons(reasons) => (reasons.contains(&end.reason), end.reason.to_string()),
            Self::Conversations(ids) => match end.conversation_id {
                Some(id) => (ids.contains(&id), format!("at {id}")),
                None => (false, "at no conversation".to_owned()),
            },
            Self::Failures(types) => match &end.failure_type {
                Some(failure_type) => (types.contains(failure_type), failure_type.to_string()),
                None => (false, "without a failed attempt".to_owned()),
            },
            Self::Field { .. } => return None,
        };
        Some(if has { Ok(()) } else { Err(found) })
    }

    /// What it says of the data of a posting; nothing if it asks for something else.
    fn of_data(&self, data: &Map<String, Value>) -> Option<Fit> {
        let Self::Field { pointer, values } = self else { return None };
        Some(match at(data, pointer) {
            None => Err("with nothing there".to_owned()),
            Some(found) if values.iter().any(|value| same_value(value, found)) => Ok(()),
            Some(found) => Err(shown(&found.to_string(), VALUE_CHARS)),
        })
    }
}

/// What a JSON pointer, which is not empty, leads to in the data of a posting.
fn at<'a>(data: &'a Map<String, Value>, pointer: &str) -> Option<&'a Value> {
    let path = pointer.strip_prefix('/')?;
    let (key, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
    data.get(&key.replace("~1", "/").replace("~0", "~"))?.pointer(rest)
}

/// A filter, and what it left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Sieve {
    /// As it was given.
    #[serde(rename = "filter")]
    pub(super) words: String,
    #[serde(skip)]
    pub(super) filter: Filter,
    /// How many postings came to it: those that the filters before it let through.
    #[serde(skip)]
    pub(super) reached: usize,
    /// How many of them it left out.
    #[serde(rename = "postings")]
    pub(super) left_out: usize,
    /// What these have, and how many of them.
    found: BTreeMap<String, usize>,
}

impl Sieve {
    fn leave_out(&mut self, found: String) {
        self.left_out += 1;
        if found.is_empty() {
            return;
        }
        let is_known = self.found.contains_key(&found) || self.found.len() < DIFFERENT;
        let found = if is_known { found } else { "others".to_owned() };
        *self.found.entry(found).or_default() += 1;
    }

    /// What most of those have that it left out, in words to stand behind something; or nothing.
    pub(super) fn found(&self) -> Option<String> {
        let mut found: Vec<_> = self.found.iter().collect();
        found.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let more = if found.len() > TOLD { ", …" } else { "" };
        let told: Vec<_> =
            found.iter().take(TOLD).map(|(what, count)| format!("{count} {what}")).collect();
        (!told.is_empty()).then(|| format!("{}{more}", told.join(", ")))
    }

    /// What it is, in words; ids may be many.
    pub(super) fn name(&self) -> String {
        match &self.filter {
            Filter::Ids(_) => "the ids that were given".to_owned(),
            _ => format!("`{}`", self.words),
        }
    }
}

/// What is asked for: of each kind one.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::cli) struct Wanted {
    pub(super) sieves: Vec<Sieve>,
}

impl Wanted {
    /// What the command line says, and the ids on standard input, if they are asked for.
    pub(in crate::cli) fn new(args: &WhichArgs, listed: Option<BTreeSet<PostingId>>) -> Self {
        let WhichArgs { failed, posting, conversation, reason, fields, .. } = args;
        let mut wanted = Self::default();
        if listed.is_some() || !posting.is_empty() {
            let dash = listed.is_some().then(|| "-".to_owned());
            let words = posting.iter().map(|id| option("--posting", id)).chain(dash);
            let words = words.collect::<Vec<_>>().join(" ");
            let ids = posting.iter().copied().chain(listed.into_iter().flatten()).collect();
            wanted.add(words, Filter::Ids(ids));
        }
        wanted.add_some("--reason", reason, Filter::Reasons);
        wanted.add_some("--conversation", conversation, Filter::Conversations);
        wanted.add_some("--failed", failed, Filter::Failures);
        // the values of one field are of one kind
        let mut by_field = BTreeMap::<&str, Vec<&Field>>::new();
        for field in fields {
            by_field.entry(&field.pointer).or_default().push(field);
        }
        for (pointer, fields) in by_field {
            let words: Vec<_> = fields.iter().map(|field| option("--where", &field.text)).collect();
            let values = fields.iter().map(|field| field.value.clone()).collect();
            wanted.add(words.join(" "), Filter::Field { pointer: pointer.to_owned(), values });
        }
        wanted
    }

    fn add_some<T: Clone + Display>(
        &mut self,
        name: &str,
        values: &[T],
        filter: impl FnOnce(Vec<T>) -> Filter,
    ) {
        if !values.is_empty() {
            let words: Vec<_> = values.iter().map(|value| option(name, value)).collect();
            self.add(words.join(" "), filter(values.to_vec()));
        }
    }

    fn add(&mut self, words: String, filter: Filter) {
        let found = BTreeMap::new();
        self.sieves.push(Sieve { words, filter, reached: 0, left_out: 0, found });
    }

    /// What it takes to ask for the same once more, to stand behind other words.
    pub(in crate::cli) fn words(&self) -> String {
        self.sieves.iter().map(|sieve| format!(" {}", sieve.words)).collect()
    }

    /// The ids that were given, if some were asked for.
    pub(super) fn ids(&self) -> Option<&BTreeSet<PostingId>> {
        self.sieves.iter().find_map(|sieve| match &sieve.filter {
            Filter::Ids(ids) => Some(ids),
            _ => None,
        })
    }

    /// True if how the posting ended is what is asked for.
    pub(super) fn wants_end(&mut self, posting: PostingId, end: &FailedEnd) -> bool {
        self.all(|filter| filter.of_end(posting, end))
    }

    /// True if the data of a posting are what is asked for.
    pub(super) fn wants_data(&mut self, data: &Map<String, Value>) -> bool {
        self.all(|filter| filter.of_data(data))
    }

    fn all(&mut self, fit: impl Fn(&Filter) -> Option<Fit>) -> bool {
        for sieve in &mut self.sieves {
            match fit(&sieve.filter) {
                None => {}
                Some(Ok(())) => sieve.reached += 1,
                Some(Err(found)) => {
                    sieve.reached += 1;
                    sieve.leave_out(found);
                    return false;
                }
            }
        }
        true
    }
}

/// An option as words of the shell.
fn option(name: &str, value: impl Display) -> String {
    format!("{name} {}", quoted(value))
}
