//! The mapping file: which column of the old table means what.
//!
//! It is TOML, flat, and all but the first two may be left out:
//!
//! ```toml
//! table = "public.posting_state_checkpoints"
//! posting_id = "posting_id"
//! current = "current_step"
//! outputs = "outputs"
//! history = "conversation_history"
//! history_key = "conversation_id"    # where the history is a list of objects
//! terminal = "is_terminal"
//! updated_at = "updated_at"
//! counter = "steps_done"
//!
//! [steps]                            # where conversations have names there
//! extract = 9144
//! ```

mod finding;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use es_core::event::Payload;
use serde::{Deserialize, Serialize};
use toml::de::{DeTable, DeValue, Deserializer};

pub use finding::{MappingError, MappingFinding};

use crate::definition::{LineNumbers, in_words};
use crate::postings::digest_of;

/// The largest mapping, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// The schema of a table that is named without one.
const DEFAULT_SCHEMA: &str = "public";

const FORMAT: &str = "correct it; docs/moving-over.md describes every key";

/// Which column of the old table means what, as the database reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mapping {
    /// The schema of the old table.
    pub schema: String,
    /// Its name.
    pub table: String,
    /// The column that names the posting.
    pub posting_id: String,
    /// The column of the conversation at which it stands.
    pub current: Option<String>,
    /// The column of its outputs.
    pub outputs: Option<String>,
    /// The column of the conversations that completed, in their order.
    pub history: Option<String>,
    /// In which field of an element of the history the conversation is, if these are objects.
    pub history_key: Option<String>,
    /// The column that says whether it is terminal.
    pub terminal: Option<String>,
    /// The column that says when it changed last.
    pub updated_at: Option<String>,
    /// The column that counts conversations that completed.
    pub counter: Option<String>,
    /// The conversations by the names that they have in the old table.
    pub steps: BTreeMap<String, i32>,
}

/// The same as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    schema: Option<String>,
    table: String,
    posting_id: String,
    current: Option<String>,
    outputs: Option<String>,
    history: Option<String>,
    history_key: Option<String>,
    terminal: Option<String>,
    updated_at: Option<String>,
    counter: Option<String>,
    #[serde(default)]
    steps: BTreeMap<String, i32>,
}

/// A mapping that was read from its file.
#[derive(Debug, Clone)]
pub struct MappingFile {
    /// The mapping.
    pub mapping: Mapping,
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of the file's text.
    pub digest: String,
    /// On which line each key stands; that of a step is `steps.NAME`.
    lines: BTreeMap<String, usize>,
}

impl MappingFile {
    /// Reads the mapping in `path`, and finds everything that is wrong with it by itself.
    ///
    /// # Errors
    ///
    /// [`MappingError`], with all findings at once.
    pub fn load(path: &Path) -> Result<Self, MappingError> {
        let unreadable = |source| MappingError::Unreadable { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        // one byte more than allowed tells a file that is too large from one that just fits
        File::open(path)
            .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
            .map_err(unreadable)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(MappingError::TooLarge { path: path.to_owned() });
        }
        Self::parse(path, bytes)
    }

    /// The same of the file's content.
    fn parse(path: &Path, bytes: Vec<u8>) -> Result<Self, MappingError> {
        let file = path.display().to_string();
        let wrong = |findings| MappingError::Wrong { path: path.to_owned(), findings };
        let numbers = LineNumbers::of(&bytes);
        let text = String::from_utf8(bytes).map_err(|error| {
            let line = numbers.line(error.utf8_error().valid_up_to());
            let message = "the text is not UTF-8";
            wrong(vec![MappingFinding::new(&file, line, message, "save the file as UTF-8")])
        })?;
        let finding = |error: &toml::de::Error| {
            let line = numbers.of_span(error.span());
            let named = error.span().and_then(|span| text.get(span));
            MappingFinding::new(&file, line, in_words(error.message(), named), FORMAT)
        };
        let (table, errors) = DeTable::parse_recoverable(&text);
        if !errors.is_empty() {
            let mut findings: Vec<_> = errors.iter().map(finding).collect();
            findings.sort_by_key(|finding| finding.line);
            return Err(wrong(findings));
        }
        let lines = lines_of(table.get_ref(), &numbers);
        let written = Written::deserialize(Deserializer::from(table))
            .map_err(|error| wrong(vec![finding(&error)]))?;
        let mut findings = Vec::new();
        let mapping = written.into_mapping(&mut |key: &str, message: String, cure: &str| {
            findings.push(MappingFinding::new(&file, line_of(&lines, key), message, cure));
        });
        if !findings.is_empty() {
            findings.sort_by_key(|finding| finding.line);
            return Err(wrong(findings));
        }
        Ok(Self { mapping, path: path.to_owned(), digest: digest_of(&text), lines })
    }

    /// What the database found to be wrong with it, each with the line of its key.
    pub(super) fn refused(
        &self,
        found: impl IntoIterator<Item = (String, String, String)>,
    ) -> Option<MappingError> {
        let file = self.path.display().to_string();
        let finding = |(key, message, cure): (String, String, String)| {
            MappingFinding::new(&file, line_of(&self.lines, &key), message, cure)
        };
        let mut findings: Vec<_> = found.into_iter().map(finding).collect();
        findings.sort_by_key(|finding| finding.line);
        (!findings.is_empty()).then(|| MappingError::Wrong { path: self.path.clone(), findings })
    }
}

impl Mapping {
    /// The table with its schema.
    pub fn old_table(&self) -> String {
        format!("{}.{}", self.schema, self.table)
    }

    /// The mapping as the database reads it.
    pub(super) fn document(&self) -> Payload {
        Payload::of(self).expect("texts and numbers are JSON")
    }
}

/// Takes something that is wrong: the key, what is wrong with it, and what is to be done.
type Tell<'a> = dyn FnMut(&str, String, &str) + 'a;

impl Written {
    /// The mapping, and whatever is wrong with it.
    fn into_mapping(self, tell: &mut Tell<'_>) -> Mapping {
        let Self { schema, table, posting_id, steps, .. } = self;
        let named = table.split_once('.');
        let named = named.map(|(schema, name)| (schema.to_owned(), name.to_owned()));
        let (schema, table) = match (schema, named) {
            (Some(schema), _) => (schema, table),
            (None, Some(named)) => named,
            (None, None) => (DEFAULT_SCHEMA.to_owned(), table),
        };
        let mapping = Mapping {
            schema,
            table,
            posting_id,
            current: self.current,
            outputs: self.outputs,
            history: self.history,
            history_key: self.history_key,
            terminal: self.terminal,
            updated_at: self.updated_at,
            counter: self.counter,
            steps,
        };
        mapping.check(tell);
        mapping
    }
}

impl Mapping {
    /// The columns by the keys that name them.
    fn columns(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let others = [
            ("current", &self.current),
            ("outputs", &self.outputs),
            ("history", &self.history),
            ("terminal", &self.terminal),
            ("updated_at", &self.updated_at),
            ("counter", &self.counter),
        ];
        let others = others.into_iter().filter_map(|(key, name)| Some((key, name.as_deref()?)));
        [("posting_id", self.posting_id.as_str())].into_iter().chain(others)
    }

    /// Finds what is wrong with it, whatever the database has.
    fn check(&self, tell: &mut Tell<'_>) {
        let table = [("schema", self.schema.as_str()), ("table", self.table.as_str())];
        let key = self.history_key.as_deref().map(|name| ("history_key", name));
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        for (key, name) in table.into_iter().chain(self.columns()).chain(key) {
            if name.is_empty() || name.contains('\0') {
                let cure = "write the name as the database has it, or leave the key out";
                tell(key, format!("`{key}` names nothing"), cure);
            }
        }
        for (key, name) in self.columns() {
            if let Some(other) = seen.insert(name, key) {
                let message = format!("`{key}` names the column `{name}`, as `{other}` does");
                tell(key, message, "give each its own column");
            }
        }
        if self.history_key.is_some() && self.history.is_none() {
            let message = "`history_key` is a field of what `history` has, and there is no history";
            tell("history_key", message.to_owned(), "add `history`, or leave the key out");
        }
        let mut known: BTreeMap<i32, &str> = BTreeMap::new();
        for (name, id) in &self.steps {
            if let Some(other) = known.insert(*id, name) {
                // what is written to the old table has one name
                let message =
                    format!("the steps `{other}` and `{name}` are both conversation {id}");
                tell(&format!("steps.{name}"), message, "give each conversation one name");
            }
        }
    }
}

/// The line of each key, and of each step.
fn lines_of(table: &DeTable<'_>, numbers: &LineNumbers) -> BTreeMap<String, usize> {
    let mut lines = BTreeMap::new();
    for (key, value) in table.iter() {
        let name: &str = key.get_ref();
        lines.insert(name.to_owned(), numbers.line(key.span().start));
        if let ("steps", DeValue::Table(steps)) = (name, value.get_ref()) {
            lines.extend(steps.keys().map(|step| {
                let name: &str = step.get_ref();
                (format!("steps.{name}"), numbers.line(step.span().start))
            }));
        }
    }
    lines
}

/// The line of a key, of the part around it, or of what the key stands for; else the first.
fn line_of(lines: &BTreeMap<String, usize>, key: &str) -> usize {
    let around = key.split('.').next().unwrap_or(key);
    // a schema that is not written is in the name of the table
    let found = [key, around, "table"].into_iter().find_map(|key| lines.get(key));
    found.copied().unwrap_or(1)
}

#[cfg(test)]
mod tests;
