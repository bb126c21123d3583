//! Threads: one with room for all that the program does, and what is said where there are too few.

use std::panic::{catch_unwind, set_hook, take_hook};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

use tokio::runtime::{Builder, Runtime};

/// What the first thread of a program usually has.
const STACK_BYTES: usize = 8 * 1024 * 1024;

/// How the system ends a Rust program that panicked.
const PANICKED: u8 = 101;

/// Does the work on a thread of its own: the first one has as much stack as `ulimit -s` says, which may
/// be too little, and to have used it up ends the program without a word.
pub(crate) fn with_room(work: impl FnOnce() -> ExitCode + Send + 'static) -> io::Result<ExitCode> {
    let thread = thread::Builder::new().name("turing".to_owned()).stack_size(STACK_BYTES);
    let thread = thread.spawn(work).map_err(|error| lacking(&error.to_string()))?;
    // what it panicked of was told by the panic
    Ok(thread.join().unwrap_or_else(|_| ExitCode::from(PANICKED)))
}

/// A runtime with all that the program needs. One that gets a part of its threads would keep tasks for
/// those that never come, so they are tried before.
pub(crate) fn runtime() -> io::Result<Runtime> {
    let workers = workers(env::var(WORKERS).ok().as_deref());
    can_start(workers + BLOCKING)?;
    let build = || Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let built = catch_unwind(build);
    set_hook(hook);
    built.unwrap_or_else(|_| Err(lacking("no thread can be started")))
}

/// How many threads the runtime may have: tokio's own variable, which a count of one's own overrides.
const WORKERS: &str = "TOKIO_WORKER_THREADS";

/// As many as the variable says, or as there are processors.
fn workers(asked: Option<&str>) -> usize {
    let processors = || thread::available_parallelism().map_or(1, usize::from);
    asked
        .and_then(|asked| asked.parse::<usize>().ok())
        .filter(|asked| *asked > 0)
        .unwrap_or_else(processors)
}

/// The threads that every command has beside the workers of the runtime, for calls that block.
const BLOCKING: usize = 2;

/// Whether so many threads more can be had at once.
fn can_start(count: usize) -> io::Result<()> {
    let before = running();
    let gate = Mutex::new(());
    let started = thread::scope(|scope| {
        let closed = gate.lock();
        let started = (0..count).try_for_each(|_| {
            let waits = || drop(gate.lock());
            thread::Builder::new().spawn_scoped(scope, waits).map(drop)
        });
        drop(closed);
        started
    });
    // a thread that was waited for is counted for a moment more
    let last = Instant::now() + GONE_WITHIN;
    while running() > before && Instant::now() < last {
        thread::yield_now();
    }
    started.map_err(|error| lacking(&error.to_string()))
}

const GONE_WITHIN: Duration = Duration::from_secs(1);

/// How many threads the program has, as far as the system tells.
fn running() -> usize {
    fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

fn lacking(why: &str) -> io::Error {
    io::Error::other(format!(
        "{why}: the user, or the container, may have as many processes and threads as it is allowed \
         (`ulimit -u`), or memory is short (`ulimit -v`); raise the limit, end \
         others, or ask for fewer threads ({WORKERS}), and try again"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_says_how_many_threads_there_are() {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let more = (processors + 1).to_string();
        for (asked, count) in [
            (Some("1"), 1),
            (Some(&*more), processors + 1),
            (Some("0"), processors),
            (Some("many"), processors),
            (None, processors),
        ] {
            assert_eq!(workers(asked), count, "{asked:?}");
        }
    }
}
