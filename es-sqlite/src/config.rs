//! How a store is opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use es_core::backend::Limits;
use es_core::environment::{Clock, SystemClock};

/// SQLite counts the milliseconds of its time-out in 32 bits.
const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);

/// What a store is opened with; a path converts into it.
///
/// ```
/// use es_sqlite::{SqliteConfig, Synchronous};
///
/// let config = SqliteConfig::new("turing.db").synchronous(Synchronous::Normal).readers(4);
/// # let _ = config;
/// ```
#[derive(Debug, Clone)]
pub struct SqliteConfig {
    pub(crate) path: PathBuf,
    pub(crate) synchronous: Synchronous,
    pub(crate) busy_timeout: Duration,
    pub(crate) poll_interval: Duration,
    pub(crate) long_read: Duration,
    pub(crate) readers: usize,
    pub(crate) queue: usize,
    pub(crate) limits: Limits,
    pub(crate) create: bool,
    pub(crate) read_only: bool,
    pub(crate) clock: Arc<dyn Clock>,
}

/// When an acknowledged append is safe, and so what can be lost.
///
/// Whatever is lost are whole appends from the end of the log; the file itself stays consistent
/// under `Full` and `Normal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Synchronous {
    /// Before it is acknowledged it is flushed to the disk: neither a crash of the process nor a
    /// loss of power loses it. What is made from the log again, models and kept states, is flushed
    /// with the next append: a loss of power may take it.
    #[default]
    Full,
    /// It is flushed some time later, at the latest when the store is closed: a crash of the process
    /// loses nothing, a loss of power or a crash of the system may lose the last appends.
    Normal,
    /// It is never flushed explicitly: a crash of the process loses nothing, a loss of power or a
    /// crash of the system may lose the last appends or damage the whole file. For tests and for
    /// stores that can be made again.
    Off,
}

impl Synchronous {
    pub(crate) fn pragma(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Normal => "NORMAL",
            Self::Off => "OFF",
        }
    }
}

impl SqliteConfig {
    /// The defaults for the file at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            synchronous: Synchronous::default(),
            busy_timeout: Duration::from_secs(5),
            poll_interval: Duration::from_millis(20),
            long_read: Duration::from_secs(10),
            readers: 2,
            queue: 1024,
            limits: Limits::default(),
            create: true,
            read_only: false,
            clock: Arc::new(SystemClock),
        }
    }

    /// When an acknowledged append is safe; the default is [`Synchronous::Full`].
    #[must_use]
    pub fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// How long to wait for another process that writes to the file; 5 s by default, at most 24
    /// days.
    #[must_use]
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout.min(LONGEST);
        self
    }

    /// How often to look for appends of other processes while somebody waits for one; 20 ms by
    /// default. While nobody waits nothing is polled, and appends through this store wake waiters
    /// at once. At least 1 ms.
    #[must_use]
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval.max(Duration::from_millis(1));
        self
    }

    /// From which age on a read is warned of that keeps the write-ahead log from being cut back, once
    /// it is longer than 64 MiB; 10 s by default. The warning is an event of the `tracing` facade.
    #[must_use]
    pub fn long_read(mut self, age: Duration) -> Self {
        self.long_read = age;
        self
    }

    /// How many reads run at the same time, each on a thread and connection of its own; 2 by
    /// default, at least 1.
    #[must_use]
    pub fn readers(mut self, readers: usize) -> Self {
        self.readers = readers.max(1);
        self
    }

    /// How many appends may wait for the writer before further ones wait for a place; 1,024 by
    /// default, at least 1. As many reads, but 256 at most, may wait for the threads that read.
    #[must_use]
    pub fn queue(mut self, calls: usize) -> Self {
        self.queue = calls.max(1);
        self
    }

    /// Upper bounds of what one append may carry.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Whether to make the store if there is no file; true by default.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Whether to open the file for reading only; every append is then refused.
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Replaces the clock that says when events were recorded.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}

macro_rules! from_paths {
    ($($path:ty),*) => {$(
        impl From<$path> for SqliteConfig {
            fn from(path: $path) -> Self {
                Self::new(path)
            }
        }
    )*};
}

from_paths!(&Path, PathBuf, &PathBuf, &str, String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_for_other_processes_appends_pauses_in_between() {
        let config = SqliteConfig::new("x").poll_interval(Duration::ZERO);
        assert_eq!(config.poll_interval, Duration::from_millis(1));
    }
}
