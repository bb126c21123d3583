//! The disk as a loss of power leaves it.

use std::collections::BTreeMap;
use std::path::Path;

/// What a program did to a file.
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
    Unlink,
}

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
        let (data, rest) = rest.split_at(if kind == b'w' { length } else { 0 });
        let did = match kind {
            b'w' => Did::Write { offset, data: data.to_vec() },
            b't' => Did::Truncate(offset),
            b's' => Did::Sync,
            b'u' => Did::Unlink,
            _ => panic!("{kind} is no kind of call"),
        };
        calls.push(Call { file: String::from_utf8(file.to_vec()).unwrap(), did });
        trace = rest;
    }
    calls
}

/// What is on the disk after these calls and a loss of power: of each file all that was flushed,
/// and of what was written since any part, a sector being whole or not there. That a file was
/// made or removed is never lost, as on a file system with a journal.
pub(crate) fn disk_after(calls: &[Call], chance: &mut fastrand::Rng, folder: &Path) {
    const SECTOR: usize = 512;
    let mut flushed = BTreeMap::new();
    for (place, call) in calls.iter().enumerate() {
        if call.did == Did::Sync {
            flushed.insert(&call.file, place);
        }
    }
    let mut files = BTreeMap::<&String, Vec<u8>>::new();
    // one loss keeps much, another little
    let kept = chance.f64();
    for (place, call) in calls.iter().enumerate() {
        // memory that programs share, lost in any case
        if call.file.ends_with("-shm") {
            continue;
        }
        let is_flushed = flushed.get(&call.file).is_some_and(|flush| place < *flush);
        let content = files.entry(&call.file).or_default();
        match &call.did {
            Did::Write { offset, data } => {
                for (number, sector) in data.chunks(SECTOR).enumerate() {
                    if is_flushed || chance.f64() < kept {
                        let from = offset + number * SECTOR;
                        let to = from + sector.len();
                        content.resize(content.len().max(to), 0);
                        content[from..to].copy_from_slice(sector);
                    }
                }
            }
            Did::Truncate(length) if is_flushed || chance.f64() < kept => {
                content.resize(*length, 0)
            }
            Did::Truncate(_) | Did::Sync => {}
            Did::Unlink => {
                files.remove(&call.file);
            }
        }
    }
    for (file, content) in files {
        std::fs::write(folder.join(file), content).unwrap();
    }
}
