//! Reading postings from files and streams.
//!
//! A folder is read file by file in the order of its names; what cannot be read is refused by name
//! while the rest goes on.

mod reader;
mod source;

use std::fmt::Write as _;
use std::path::PathBuf;

use es_core::event::{ContentProblem, Payload, check_json};
use serde_json::{Map, Number, Value, json};
use sha2::{Digest, Sha256};
use turing_domain::PostingId;

use reader::Layout;
pub use reader::PostingReader;
pub use source::PostingSource;

/// The largest posting, in bytes of its file or line.
pub const MAX_POSTING_BYTES: usize = 4 * 1024 * 1024;

/// The deepest nesting of a posting's data.
const MAX_DEPTH: usize = 64;

/// A posting as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct PostingInput {
    /// Where it stands: the file, and the line for files with a posting a line.
    pub source: String,
    /// The id that the data gives, if it gives one.
    pub posting_id: Option<PostingId>,
    /// The data; `posting_id` is not part of it.
    pub data: Map<String, Value>,
}

impl PostingInput {
    /// SHA-256 over the data as JSON with sorted keys, as hexadecimal digits: equal for equal data,
    /// however its numbers are written.
    pub fn digest(&self) -> String {
        digest_of(&sorted(&Value::Object(self.data.clone()), &whole))
    }

    /// About how many bytes of memory the data takes.
    pub(crate) fn memory(&self) -> usize {
        memory_of(&self.data)
    }

    /// What [`digest`](Self::digest) was in versions that told `100.0` from `100`.
    pub(crate) fn former_digest(&self) -> String {
        digest_of(&sorted(&Value::Object(self.data.clone()), &Number::to_string))
    }
}

/// SHA-256 of a text, as hexadecimal digits.
pub fn digest_of(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        // writing to a String cannot fail
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// JSON text with the keys of every object in order, whatever order the map keeps.
fn sorted(value: &Value, number: &dyn Fn(&Number) -> String) -> String {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            let fields = fields.into_iter().map(|(name, value)| {
                format!("{}:{}", Value::from(name.as_str()), sorted(value, number))
            });
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            let items = items.iter().map(|item| sorted(item, number));
            format!("[{}]", items.collect::<Vec<_>>().join(","))
        }
        Value::Number(found) => number(found),
        other => other.to_string(),
    }
}

/// About how many bytes of memory the data of a posting take.
pub(crate) fn memory_of(data: &Map<String, Value>) -> usize {
    data.iter().map(|(name, value)| name.len() + memory(value)).sum()
}

/// About how many bytes of memory a value takes.
fn memory(value: &Value) -> usize {
    let inner: usize = match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(memory).sum(),
        Value::Object(fields) => memory_of(fields),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    };
    size_of::<Value>() + inner
}

/// A number in one spelling; one without a fraction as an integer.
fn whole(number: &Number) -> String {
    match number.as_f64() {
        Some(0.0) => "0".to_owned(),
        Some(float) if number.is_f64() && float.fract() == 0.0 => float.to_string(),
        _ => number.to_string(),
    }
}

/// A posting that cannot be taken.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{source_name}: {reason}")]
pub struct RefusedPosting {
    /// Where it stands.
    pub source_name: String,
    /// Why, and what to do.
    pub reason: String,
}

/// Why no postings can be read at all.
#[derive(Debug, thiserror::Error)]
pub enum PostingsError {
    /// The path cannot be read.
    #[error("cannot read postings from {}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A stream cannot be read to its end.
    #[error("standard input cannot be read to its end; give it a JSON object a line")]
    Unheard(#[source] std::io::Error),
    /// What was read of a stream cannot be kept.
    #[error("standard input cannot be kept in {}; TMPDIR may name another folder", folder.display())]
    Unkept {
        /// The folder in which it was to be kept.
        folder: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

/// True if this is how a text in UTF-16 begins.
fn is_utf16(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff")
}

/// A reason that names no line: the text is one, and which one of the file is told.
fn in_its_line(reason: &str) -> String {
    match reason.rsplit_once(" at line 1 column ") {
        Some((what, column)) => format!("{what} at column {column}"),
        None => reason.to_owned(),
    }
}

fn refused(source: &str, reason: String) -> RefusedPosting {
    RefusedPosting { source_name: source.to_owned(), reason }
}

fn parse(source: String, bytes: Vec<u8>, layout: Layout) -> Result<PostingInput, RefusedPosting> {
    let refuse = |reason: String| refused(&source, reason);
    if bytes.len() > MAX_POSTING_BYTES {
        let limit = MAX_POSTING_BYTES / 1024 / 1024;
        return Err(refuse(format!("larger than {limit} MiB; shorten it")));
    }
    if is_utf16(&bytes) {
        return Err(refuse("not UTF-8 but UTF-16; save the file as UTF-8".to_owned()));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        refuse(format!("not UTF-8 at byte {at}; save the file as UTF-8"))
    })?;
    // some programs begin a file with a byte order mark, which is no part of what they wrote
    let content = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let read = match layout {
        Layout::Text => object(&json!({ "job_description": text }).to_string()),
        Layout::Object if content.trim().is_empty() => {
            Err("empty; write {\"job_description\": …}, or remove the file".to_owned())
        }
        Layout::Object => object(content),
        Layout::Lines => object(content.trim_end()).map_err(|reason| in_its_line(&reason)),
    };
    let mut data = read.map_err(&refuse)?;
    let posting_id = match data.remove("posting_id") {
        None => None,
        Some(value) => Some(posting_id(&value).map_err(&refuse)?),
    };
    Ok(PostingInput { source, posting_id, data })
}

/// The problem in words that name the field as a person wrote it.
fn told(problem: &ContentProblem) -> String {
    match problem {
        ContentProblem::NulCharacter { path } => {
            let field = path.trim_start_matches('/');
            format!("the field `{field}` contains U+0000, which cannot be stored; remove it")
        }
        other => other.to_string(),
    }
}

/// The object in the canonical form, so that it is the same whichever store gives it back. What is
/// wrong with the text is told before anything decodes it, as decoding could hide it.
fn object(text: &str) -> Result<Map<String, Value>, String> {
    let payload = match Payload::parse(text.to_owned()) {
        Ok(payload) => payload,
        Err(error) => return Err(format!("not JSON: {error}")),
    };
    let checked = check_json(payload.as_str(), usize::MAX, MAX_DEPTH);
    let canonical = checked.and_then(|()| payload.canonical());
    match canonical.map_err(|problem| told(&problem))?.decode() {
        Ok(Value::Object(data)) => Ok(data),
        Ok(Value::Array(_)) => {
            Err("not a JSON object but a list; a .jsonl file has one object a line".to_owned())
        }
        Ok(_) => Err("not a JSON object; write {\"job_description\": …}".to_owned()),
        Err(error) => Err(format!("not JSON: {error}")),
    }
}

fn posting_id(value: &Value) -> Result<PostingId, String> {
    value
        .as_i64()
        .and_then(|id| i32::try_from(id).ok())
        .filter(|id| *id > 0)
        .map(PostingId)
        .ok_or_else(|| {
            format!("posting_id is {value}; use an integer from 1 to {}, or leave it out", i32::MAX)
        })
}

#[cfg(test)]
mod tests;
