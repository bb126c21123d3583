//! Reading postings from files.
//!
//! A folder is read file by file in the order of its names; what cannot be read is refused by name
//! while the rest goes on.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use es_core::{ContentProblem, Payload, check_json};
use serde_json::{Map, Number, Value, json};
use sha2::{Digest, Sha256};
use turing_domain::PostingId;

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
        self.data.iter().map(|(name, value)| name.len() + memory(value)).sum()
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

/// About how many bytes of memory a value takes.
fn memory(value: &Value) -> usize {
    let inner: usize = match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(memory).sum(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| name.len() + memory(value)).sum()
        }
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

/// A path from which no postings can be read at all.
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
}

/// How the postings of one file are laid out.
#[derive(Clone, Copy, PartialEq)]
enum Layout {
    /// One JSON object.
    Object,
    /// A JSON object a line.
    Lines,
    /// The text is the job description.
    Text,
}

fn layout(path: &Path) -> Option<Layout> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "json" => Some(Layout::Object),
        "jsonl" | "ndjson" => Some(Layout::Lines),
        "txt" | "md" => Some(Layout::Text),
        _ => None,
    }
}

/// Reads postings one by one, in file and line order, with the memory of one posting.
#[derive(Debug)]
pub struct PostingReader {
    files: VecDeque<PathBuf>,
    lines: Option<Lines>,
}

impl PostingReader {
    /// The postings of a file, or of the files of a folder in the order of their names; hidden
    /// files, sub-folders and files of other kinds are passed over.
    ///
    /// # Errors
    ///
    /// [`PostingsError`] if the path cannot be read; one without postings is no error.
    pub fn open(path: &Path) -> Result<Self, PostingsError> {
        let unreadable = |source| PostingsError::Unreadable { path: path.to_owned(), source };
        let metadata = fs::metadata(path).map_err(unreadable)?;
        if metadata.is_file() {
            return Ok(Self { files: [path.to_owned()].into(), lines: None });
        }
        if !metadata.is_dir() {
            return Err(unreadable(std::io::Error::other("it is neither a file nor a folder")));
        }
        let mut files = Vec::new();
        for entry in fs::read_dir(path).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            // a link to nowhere stays in the list, so that it is refused by name
            if !is_hidden && !entry.path().is_dir() && layout(&entry.path()).is_some() {
                files.push(entry.path());
            }
        }
        files.sort();
        Ok(Self { files: files.into(), lines: None })
    }

    fn read_file(&mut self, path: &Path) -> Option<Result<PostingInput, RefusedPosting>> {
        let source = path.display().to_string();
        let refuse = |reason: String| Some(Err(refused(&source, reason)));
        let Some(layout) = layout(path) else {
            return refuse("unknown kind of file; use .json, .jsonl, .txt or .md".to_owned());
        };
        // opening a pipe would wait for somebody to write into it
        let opened = match fs::metadata(path) {
            Ok(metadata) if !metadata.is_file() => {
                return refuse("is no file of its own; put a file there".to_owned());
            }
            Ok(_) => File::open(path),
            Err(error) => Err(error),
        };
        let file = match opened {
            Ok(file) => file,
            Err(error) => return refuse(format!("cannot be opened: {error}")),
        };
        if layout == Layout::Lines {
            self.lines =
                Some(Lines { source, reader: BufReader::new(file), number: 0, ended: false });
            return None;
        }
        let mut bytes = Vec::new();
        // one byte more than allowed tells a file that is too large from one that just fits
        let limit = MAX_POSTING_BYTES as u64 + 1;
        if let Err(error) = file.take(limit).read_to_end(&mut bytes) {
            return refuse(format!("cannot be read: {error}"));
        }
        Some(parse(source, bytes, layout))
    }
}

impl Iterator for PostingReader {
    type Item = Result<PostingInput, RefusedPosting>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(lines) = &mut self.lines {
                if let Some(item) = lines.next() {
                    return Some(item);
                }
                self.lines = None;
            }
            let path = self.files.pop_front()?;
            if let Some(item) = self.read_file(&path) {
                return Some(item);
            }
        }
    }
}

/// The lines of one file; blank ones are passed over.
#[derive(Debug)]
struct Lines {
    source: String,
    reader: BufReader<File>,
    number: usize,
    /// Set when the file cannot be read on: it has no further lines.
    ended: bool,
}

impl Iterator for Lines {
    type Item = Result<PostingInput, RefusedPosting>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            self.number += 1;
            let source = format!("{}:{}", self.source, self.number);
            let mut bytes = Vec::new();
            let limit = MAX_POSTING_BYTES as u64 + 2;
            match self.reader.by_ref().take(limit).read_until(b'\n', &mut bytes) {
                Ok(0) => return None,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(refused(&source, format!("cannot be read: {error}"))));
                }
                Ok(_) if bytes.iter().all(u8::is_ascii_whitespace) => {}
                Ok(_) => {
                    let is_cut = bytes.last() != Some(&b'\n') && bytes.len() > MAX_POSTING_BYTES;
                    if is_cut && skip_line(&mut self.reader).is_err() {
                        self.ended = true;
                    }
                    return Some(parse(source, bytes, Layout::Lines));
                }
            }
        }
        None
    }
}

/// Reads to the end of the line without keeping it.
fn skip_line(reader: &mut BufReader<File>) -> std::io::Result<()> {
    loop {
        let buffer = reader.fill_buf()?;
        let (used, done) = match buffer.iter().position(|&byte| byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        reader.consume(used);
        if done {
            return Ok(());
        }
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
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        refuse(format!("not UTF-8 at byte {at}; save the file as UTF-8"))
    })?;
    let mut data = match layout {
        Layout::Text => object(&json!({ "job_description": text }).to_string()).map_err(&refuse)?,
        Layout::Object | Layout::Lines => object(&text).map_err(&refuse)?,
    };
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
