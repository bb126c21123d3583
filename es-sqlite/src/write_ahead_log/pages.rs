//! How many pages a file has by its write-ahead log, as SQLite would read it.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::write_ahead_log;

/// What a log begins with; it is another one whenever the log is begun again.
pub(super) type Header = [u8; 32];

/// What stands before each page.
const FRAME_BYTES: usize = 24;

/// `None` if there is none, or it cannot be read.
pub(super) fn header(path: &Path) -> Option<Header> {
    let mut header = Header::default();
    File::open(write_ahead_log(path)).ok()?.read_exact(&mut header).ok()?;
    Some(header)
}

/// The number of pages after the last transaction of the log that begins so. `None` where the first
/// page is in the log, and tells it; where no transaction is; and where the log was begun again.
///
/// It ends where a page's sum does not follow from the one before: what comes then, SQLite does not
/// read either. A transaction that was never whole may have left it, and others been written over its
/// beginning.
pub(super) fn count(path: &Path, begins: &Header) -> Option<u32> {
    let mut log = BufReader::new(File::open(write_ahead_log(path)).ok()?);
    let mut header = Header::default();
    log.read_exact(&mut header).ok()?;
    let mut sum = Sum { is_big_endian: header[3] & 1 == 1, of: (0, 0) };
    sum.add(&header[..24]);
    if header != *begins || !sum.is(&header[24..]) {
        return None;
    }
    let page_bytes = usize::try_from(number(&header[8..12])).ok()?;
    let (mut frame, mut pages) = (vec![0; FRAME_BYTES + page_bytes.min(1 << 16)], None);
    while log.read_exact(&mut frame).is_ok() {
        sum.add(&frame[..8]);
        sum.add(&frame[FRAME_BYTES..]);
        if frame[8..16] != header[16..24] || !sum.is(&frame[16..FRAME_BYTES]) {
            break;
        }
        let (page, after) = (number(&frame[..4]), number(&frame[4..8]));
        if page == 1 {
            return None;
        }
        // only the last page of a transaction has it
        pages = (after > 0).then_some(after).or(pages);
    }
    pages
}

/// Of the first four bytes.
fn number(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// The sum that SQLite writes with each page, over all that came before it.
struct Sum {
    /// How the numbers that are added are read.
    is_big_endian: bool,
    of: (u32, u32),
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        let read = |bytes: &[u8]| match self.is_big_endian {
            true => number(bytes),
            false => number(bytes).swap_bytes(),
        };
        let (mut first, mut second) = self.of;
        for pair in bytes.chunks_exact(8) {
            first = first.wrapping_add(read(&pair[..4])).wrapping_add(second);
            second = second.wrapping_add(read(&pair[4..])).wrapping_add(first);
        }
        self.of = (first, second);
    }

    fn is(&self, written: &[u8]) -> bool {
        (number(&written[..4]), number(&written[4..8])) == self.of
    }
}
