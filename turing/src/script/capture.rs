//! What is kept of a script's two output streams, in bounded memory.

use std::io;
use std::os::fd::AsFd;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::failure::CallError;

const CHUNK_BYTES: usize = 16 * 1024;

/// The largest pipe that a process may make by default, and so the most that an exited script can
/// have left in one; a stranger who keeps writing is not followed further.
const DRAIN_BYTES: usize = 1024 * 1024;

/// A place for bytes that were read.
pub(super) trait Capture {
    fn keep(&mut self, bytes: &[u8]) -> Result<(), CallError>;
}

/// Reads until the end of the pipe or the first refusal.
pub(super) async fn pump(
    pipe: &mut (impl AsyncRead + Unpin),
    capture: &mut impl Capture,
) -> Result<(), CallError> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match pipe.read(&mut chunk).await {
            Ok(0) => return Ok(()),
            Ok(count) => capture.keep(&chunk[..count])?,
            Err(error) => return Err(CallError::Pipe(error)),
        }
    }
}

/// Reads what a non-blocking pipe holds right now.
///
/// The runtime's readiness may lag behind the pipe, so the descriptor is asked directly.
pub(super) fn drain(pipe: impl AsFd, capture: &mut impl Capture) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut total = 0;
    while total < DRAIN_BYTES {
        match rustix::io::retry_on_intr(|| rustix::io::read(&pipe, &mut chunk[..])) {
            Ok(0) | Err(rustix::io::Errno::AGAIN) => break,
            Ok(count) => {
                total += count;
                if capture.keep(&chunk[..count]).is_err() {
                    break;
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Standard output: everything, or a refusal.
pub(super) struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
    passed: bool,
}

impl Bounded {
    pub(super) fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit, passed: false }
    }

    /// The output as text, without one final line feed.
    pub(super) fn into_text(mut self) -> Result<String, CallError> {
        if self.passed {
            return Err(CallError::OutputLimit(self.limit));
        }
        if self.bytes.last() == Some(&b'\n') {
            self.bytes.pop();
        }
        let invalid = match std::str::from_utf8(&self.bytes) {
            Ok(_) => self.bytes.len(),
            Err(error) => error.valid_up_to(),
        };
        if let Some(offset) = self.bytes[..invalid].iter().position(|&byte| byte == 0) {
            return Err(CallError::OutputNul(offset));
        }
        String::from_utf8(self.bytes).map_err(|_| CallError::OutputEncoding(invalid))
    }
}

impl Capture for Bounded {
    fn keep(&mut self, bytes: &[u8]) -> Result<(), CallError> {
        if bytes.len() > self.limit - self.bytes.len() {
            self.passed = true;
            return Err(CallError::OutputLimit(self.limit));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

/// Standard error: its end, and how much came before.
pub(super) struct Tail {
    bytes: Vec<u8>,
    limit: usize,
    total: u64,
}

impl Tail {
    pub(super) fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit, total: 0 }
    }

    fn cut(&mut self) {
        let surplus = self.bytes.len().saturating_sub(self.limit);
        self.bytes.drain(..surplus);
    }

    /// The end as text that every store can hold, after a note of what was cut off.
    pub(super) fn into_text(mut self) -> String {
        self.cut();
        if self.total > self.bytes.len() as u64 {
            // The cut may have gone through a character, whose rest says nothing.
            let rest = self.bytes.iter().take(3);
            let broken = rest.take_while(|&&byte| byte & 0xC0 == 0x80).count();
            self.bytes.drain(..broken);
        }
        let text = String::from_utf8_lossy(&self.bytes).replace('\0', "\u{FFFD}");
        match self.total - self.bytes.len() as u64 {
            0 => text,
            cut => format!("[the first {cut} bytes were cut off]\n{text}"),
        }
    }
}

impl Capture for Tail {
    fn keep(&mut self, bytes: &[u8]) -> Result<(), CallError> {
        self.total += bytes.len() as u64;
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > self.limit.saturating_mul(2) {
            self.cut();
        }
        Ok(())
    }
}
