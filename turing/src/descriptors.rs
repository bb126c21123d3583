//! File descriptors: those that reach nobody, how many attempts there are enough for, and what is to
//! be done where there are too few; and how large a file may be.

use std::error::Error;
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::thread::available_parallelism;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What an attempt holds here: the script's three pipes, and the socket of its supervisor.
const HELD: usize = 4;

/// What the start of a script takes for a moment beside that: the other ends of these four, and one
/// by which the program is told whether it was started.
const STARTING: usize = 5;

/// What else is opened for a moment, such as a file that is looked at.
const MOMENTARY: usize = 2;

/// What is left for the rest of the program: more connections to a store, files that are read.
const REST: usize = 32;

/// More than a runtime takes, which knows no other answer than a panic if some of that is not there.
const RUNTIME: usize = 10;

/// The soft limit that this process was started with.
static GIVEN: OnceLock<u64> = OnceLock::new();

/// Keeps what whoever started this process left open, such as the lock file of `flock`, from
/// everything that this process starts. What the program opens itself is closed anyway.
pub(crate) fn keep_inherited() {
    close_fds::set_fds_cloexec(3, &[]);
}

/// Raises the soft limit to the hard one, for this process alone: programs that use `select` are
/// wrong with descriptors above 1023, which is why the soft limit is what it is.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Some(given) = limit.current
        && limit.maximum != limit.current
        && setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).is_ok()
    {
        // raised once, when the program starts
        let _ = GIVEN.set(given);
    }
}

/// The soft limit that scripts are to have, if this process raised its own.
pub(crate) fn given_limit() -> Option<u64> {
    GIVEN.get().copied()
}

/// How many files this process may have open, if that is bounded.
pub(crate) fn limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Makes sure that a runtime finds the descriptors that it needs.
pub(crate) fn check() -> io::Result<()> {
    are_there(RUNTIME)
}

/// Makes sure that one attempt finds those that it needs, beside what is open now: nothing of the
/// program becomes free while it waits for them.
pub(crate) fn check_attempt() -> io::Result<()> {
    are_there(HELD + STARTING + MOMENTARY)
}

fn are_there(count: usize) -> io::Result<()> {
    let files: io::Result<Vec<_>> = (0..count).map(|_| File::open("/dev/null")).collect();
    files.map(drop)
}

/// Whether there were too few descriptors, in this process or in the whole system.
pub(crate) fn are_lacking(error: &(dyn Error + 'static)) -> bool {
    let number = error.downcast_ref::<io::Error>().and_then(Errno::from_io_error);
    matches!(number, Some(Errno::MFILE | Errno::NFILE)) || error.source().is_some_and(are_lacking)
}

/// What is to be done where there are too few of so many at most.
pub(crate) fn cure(limit: Option<u64>) -> String {
    let limit = limit.map_or_else(String::new, |limit| format!(" of {limit} open files"));
    format!("the limit{limit} is too low; raise it, with `ulimit -n` or where it is set")
}

/// How many bytes a file may have that this process writes, if that is bounded.
pub(crate) fn largest_file() -> Option<u64> {
    getrlimit(Resource::Fsize).current
}

/// How many attempts at once the limit is enough for, beside what is open now and so many more; at
/// least one.
pub(crate) fn enough_for(more: usize) -> NonZeroUsize {
    let Some(limit) = limit() else { return NonZeroUsize::MAX };
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    attempts(limit, open.saturating_add(more), available_parallelism().map_or(1, NonZeroUsize::get))
}

/// The same for a limit, so many open descriptors, and so many threads that start scripts.
fn attempts(limit: u64, open: usize, threads: usize) -> NonZeroUsize {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let taken = open.saturating_add(REST).saturating_add(threads.saturating_mul(STARTING));
    NonZeroUsize::new(limit.saturating_sub(taken) / HELD).unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_fit_below_the_limit_beside_all_the_rest() {
        for (limit, open, threads) in [(64, 20, 2), (256, 25, 2), (1024, 30, 64), (u64::MAX, 30, 8)]
        {
            let fit = attempts(limit, open, threads).get();
            let taken = open + REST + threads * STARTING;
            assert!(fit == 1 || (fit * HELD + taken) as u64 <= limit, "{limit}: {fit}");
            assert!(
                ((fit + 1).saturating_mul(HELD).saturating_add(taken)) as u64 > limit.min(1 << 60)
            );
        }
        assert_eq!(attempts(0, 100, 1), NonZeroUsize::MIN);
    }

    #[test]
    fn a_lack_of_descriptors_is_seen_below_whatever_is_told_of_it() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot be read")]
        struct Unreadable(#[source] io::Error);
        for (error, is_lacking) in
            [(Errno::MFILE, true), (Errno::NFILE, true), (Errno::NOENT, false)]
        {
            assert_eq!(are_lacking(&io::Error::from(error)), is_lacking, "{error}");
            assert_eq!(are_lacking(&Unreadable(error.into())), is_lacking, "{error}");
        }
    }
}
