//! Postings one after the other, from files and from a stream that was kept in one.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{
    MAX_POSTING_BYTES, PostingInput, PostingsError, RefusedPosting, is_utf16, parse, refused,
};

/// How the postings of one file are laid out.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Layout {
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
    passed_over: Vec<PathBuf>,
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
            return Ok(Self::of([path.to_owned()].into(), None));
        }
        if !metadata.is_dir() {
            return Err(unreadable(io::Error::other(
                "it is neither a file nor a folder; `-` reads a pipe from standard input",
            )));
        }
        let (mut files, mut passed_over) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(path).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = entry.path();
            // a link to nowhere stays in the list, so that it is refused by name
            match layout(&path).is_some() && !path.is_dir() {
                true => files.push(path),
                false => passed_over.push(path),
            }
        }
        files.sort();
        passed_over.sort();
        Ok(Self { passed_over, ..Self::of(files.into(), None) })
    }

    /// The postings of a file without a name, a JSON object a line; refusals name it so.
    pub(super) fn stream(name: &str, file: &Arc<File>) -> Self {
        let lines = Lines::new(name.to_owned(), Arc::clone(file));
        Self::of(VecDeque::new(), Some(lines))
    }

    fn of(files: VecDeque<PathBuf>, lines: Option<Lines>) -> Self {
        Self { files, lines, passed_over: Vec::new() }
    }

    /// What of a folder is passed over, but for what is hidden: sub-folders and files of other
    /// kinds, in the order of their names.
    pub fn passed_over(&self) -> &[PathBuf] {
        &self.passed_over
    }

    fn read_file(&mut self, path: &Path) -> Option<Result<PostingInput, RefusedPosting>> {
        let source = path.display().to_string();
        let refuse = |reason: String| Some(Err(refused(&source, reason)));
        let Some(layout) = layout(path) else {
            return refuse(
                "unknown kind of file; use .json, .jsonl, .ndjson, .txt or .md".to_owned(),
            );
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
            self.lines = Some(Lines::new(source, file.into()));
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
    reader: BufReader<FromStart>,
    number: usize,
    /// Set when the file cannot be read on: it has no further lines.
    ended: bool,
}

impl Lines {
    fn new(source: String, file: Arc<File>) -> Self {
        let reader = BufReader::new(FromStart { file, at: 0 });
        Self { source, reader, number: 0, ended: false }
    }
}

/// A file from its beginning, however far others have read it.
#[derive(Debug)]
struct FromStart {
    file: Arc<File>,
    at: u64,
}

impl Read for FromStart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
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
                Ok(_) if is_blank(&bytes) => {}
                Ok(_) => {
                    let is_cut = bytes.last() != Some(&b'\n') && bytes.len() > MAX_POSTING_BYTES;
                    if is_cut && skip_line(&mut self.reader).is_err() {
                        self.ended = true;
                    }
                    if self.number == 1 && is_utf16(&bytes) {
                        // what seems to be its further lines are none
                        self.ended = true;
                        return Some(parse(self.source.clone(), bytes, Layout::Lines));
                    }
                    return Some(parse(source, bytes, Layout::Lines));
                }
            }
        }
        None
    }
}

/// True for a line without content, with a byte order mark or without.
fn is_blank(line: &[u8]) -> bool {
    let content = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    content.iter().all(u8::is_ascii_whitespace)
}

/// Reads to the end of the line without keeping it.
fn skip_line(reader: &mut impl BufRead) -> io::Result<()> {
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
