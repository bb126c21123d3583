//! Processor time of this process.

use std::fs;

use crate::Failure;

/// What a tick is worth: 1/100 s on every Linux.
const MICROS_PER_TICK: u64 = 10_000;

/// Microseconds that this process has computed, all threads, as user and as system.
pub(crate) fn micros() -> Result<u64, Failure> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // the program's name, in parentheses, may hold spaces
    let (_, fields) = stat.rsplit_once(") ").ok_or("/proc/self/stat has no name")?;
    let mut ticks = 0;
    for field in fields.split(' ').skip(11).take(2) {
        ticks += field.parse::<u64>()?;
    }
    Ok(ticks * MICROS_PER_TICK)
}
