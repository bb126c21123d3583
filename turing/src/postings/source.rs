//! Where postings come from.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{PostingReader, PostingsError};

/// What standard input is called where a file would be named.
const STANDARD_INPUT: &str = "standard input";

/// So much of a stream is read at a time.
const PIECE: usize = 64 * 1024;

/// A place from which postings are read, as often as they are needed.
#[derive(Debug, Clone)]
pub enum PostingSource {
    /// A file, or a folder of them.
    Path(PathBuf),
    /// A stream that was read to its end and kept in a file without a name, which is gone with the
    /// last use of it.
    Kept(Arc<File>),
}

impl PostingSource {
    /// What a path names: `-` is standard input, which is read to its end.
    ///
    /// # Errors
    ///
    /// [`PostingsError`] if standard input cannot be read or kept.
    pub fn named(path: &Path) -> Result<Self, PostingsError> {
        match path == Path::new("-") {
            true => Self::keep(io::stdin().lock()),
            false => Ok(Self::Path(path.to_owned())),
        }
    }

    /// Postings from a stream, a JSON object a line.
    ///
    /// It is kept in a file, because it is read twice: nothing is registered before all of it was
    /// looked at, and it may be larger than memory.
    ///
    /// # Errors
    ///
    /// [`PostingsError`] if it cannot be read to its end or kept.
    pub fn keep(mut stream: impl Read) -> Result<Self, PostingsError> {
        let unkept = |source| PostingsError::Unkept { folder: std::env::temp_dir(), source };
        let mut file = tempfile::tempfile().map_err(unkept)?;
        let mut piece = vec![0; PIECE];
        loop {
            let length = match stream.read(&mut piece) {
                Ok(0) => return Ok(Self::Kept(Arc::new(file))),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(PostingsError::Unheard(error)),
            };
            file.write_all(&piece[..length]).map_err(unkept)?;
        }
    }

    /// Reads the postings from the first one.
    ///
    /// # Errors
    ///
    /// As [`PostingReader::open`].
    pub fn read(&self) -> Result<PostingReader, PostingsError> {
        match self {
            Self::Path(path) => PostingReader::open(path),
            Self::Kept(file) => Ok(PostingReader::stream(STANDARD_INPUT, file)),
        }
    }
}

impl fmt::Display for PostingSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Kept(_) => f.write_str(STANDARD_INPUT),
        }
    }
}
