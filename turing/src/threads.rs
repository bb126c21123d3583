//! Threads: one with room for all that the program does, and what is said where there are too few.

use std::io;
use std::panic::{catch_unwind, set_hook, take_hook};
use std::process::ExitCode;
use std::thread;

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

/// A runtime with all that the program needs; without a thread for it tokio panics.
pub(crate) fn runtime() -> io::Result<Runtime> {
    let build = || Builder::new_multi_thread().enable_all().build();
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let built = catch_unwind(build);
    set_hook(hook);
    built.unwrap_or_else(|_| Err(lacking("no thread can be started")))
}

fn lacking(why: &str) -> io::Error {
    io::Error::other(format!(
        "{why}: the user, or the container, may have as many processes and threads as it is allowed \
         (`ulimit -u`), or memory is short (`ulimit -v`); raise the limit, or end others, and try again"
    ))
}
