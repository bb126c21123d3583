//! The disk as a loss of power leaves it.

use std::collections::BTreeMap;
use std::path::Path;

/// What a program did to a file, or to the folder, whose name is empty.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub(crate) file: String,
    pub(crate) did: Did,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Did {
    Write { offset: usize, data: Vec<u8> },
    Truncate(usize),
    Sync,
    SyncFailed,
    Unlink,
    Rename(String),
}

/// The files of a folder.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// Reads what `trace.c` has written down.
pub(crate) fn calls(mut trace: &[u8]) -> Vec<Call> {
    let mut calls = Vec::new();
    while !trace.is_empty() {
        let number = |at: usize| {
            usize::try_from(u64::from_ne_bytes(trace[at..at + 8].try_into().unwrap())).unwrap()
        };
        let letters = usize::from(u16::from_ne_bytes(trace[1..3].try_into().unwrap()));
        let (kind, offset, length) = (trace[0], number(3), number(11));
        let (file, rest) = trace[19..].split_at(letters);
        let (data, rest) = rest.split_at(if b"wn".contains(&kind) { length } else { 0 });
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let did = match kind {
            b'w' => Did::Write { offset, data: data.to_vec() },
            b't' => Did::Truncate(offset),
            b's' => Did::Sync,
            b'x' => Did::SyncFailed,
            b'u' => Did::Unlink,
            b'n' => Did::Rename(text(data)),
            _ => panic!("{kind} is no kind of call"),
        };
        calls.push(Call { file: text(file), did });
        trace = rest;
    }
    calls
}

/// What is on the disk after these calls and a loss of power: of each file all that was flushed,
/// and of what was written since some part, `kept` of 1 on average, a sector being whole or not there. A new name may be lost
/// until the folder is flushed; that a file was made or removed is never lost, as on a file system
/// with a journal.
pub(crate) fn disk_after(
    before: &Files,
    calls: &[Call],
    kept: f64,
    chance: &mut fastrand::Rng,
    folder: &Path,
) {
    const SECTOR: usize = 512;
    let mut flushed = BTreeMap::new();
    for (place, call) in calls.iter().enumerate() {
        if call.did == Did::Sync {
            flushed.insert(call.file.as_str(), place);
        }
    }
    let mut files = before.clone();
    for (place, call) in calls.iter().enumerate() {
        // memory that programs share, lost in any case
        if call.file.ends_with("-shm") {
            continue;
        }
        let is_flushed = |name: &str| flushed.get(name).is_some_and(|flush| place < *flush);
        match &call.did {
            Did::Write { offset, data } => {
                let is_flushed = is_flushed(&call.file);
                let content = files.entry(call.file.clone()).or_default();
                for (number, sector) in data.chunks(SECTOR).enumerate() {
                    if is_flushed || chance.f64() < kept {
                        let from = offset + number * SECTOR;
                        let to = from + sector.len();
                        let missing = to.saturating_sub(content.len());
                        content.extend_from_slice(&vec![0; missing]);
                        content[from..to].copy_from_slice(sector);
                    }
                }
            }
            Did::Truncate(length) if is_flushed(&call.file) || chance.f64() < kept => {
                files.entry(call.file.clone()).or_default().resize(*length, 0);
            }
            Did::Rename(to) if is_flushed("") || chance.f64() < kept => {
                let content = files.remove(&call.file).unwrap_or_default();
                files.insert(to.clone(), content);
            }
            Did::Truncate(_) | Did::Rename(_) | Did::Sync | Did::SyncFailed => {}
            Did::Unlink => {
                files.remove(&call.file);
            }
        }
    }
    for (file, content) in files {
        std::fs::write(folder.join(file), content).unwrap();
    }
}
