//! Standard error: one thread writes there, so that nobody else waits for whoever reads it.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};

use super::output::harmless;
use super::screen::Terminal;

/// How many lines of progress wait to be written; those that come then are counted only.
const PROGRESS: usize = 256;

static STDERR: OnceLock<Teller> = OnceLock::new();

fn stderr() -> &'static Teller {
    STDERR.get_or_init(|| Teller::new(Terminal::default()))
}

/// Whether each line begins with the time at which it was told.
static HAS_TIMES: AtomicBool = AtomicBool::new(false);

/// From now on each line begins with the time, in UTC, unless somebody looks at a terminal.
pub(super) fn tell_times() {
    HAS_TIMES.store(!io::stderr().is_terminal(), Ordering::Relaxed);
}

/// Tells a line, or several. Nobody may be listening, which is no reason to stop.
pub(super) fn tell(text: impl Display) {
    let text = timed(&text.to_string());
    stderr().change(|queue| queue.add(text));
}

/// Tells how far something is; that is left out while nobody reads what was told before.
pub(super) fn tell_progress(text: impl Display) {
    let text = timed(&text.to_string());
    stderr().change(|queue| queue.add_progress(text));
}

fn timed(text: &str) -> String {
    match HAS_TIMES.load(Ordering::Relaxed) {
        true => with_time(SystemTime::now().into(), text),
        false => text.to_owned(),
    }
}

/// The text, each line of which begins with the time.
fn with_time(time: DateTime<Utc>, text: &str) -> String {
    let time = time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let lines: Vec<_> = text.split('\n').map(|line| format!("{time} {line}")).collect();
    lines.join("\n")
}

/// Tells an error with its causes.
pub(super) fn tell_error(error: &dyn Error) {
    tell(format_args!("error: {error}"));
    for cause in causes(error) {
        tell(format_args!("  caused by: {cause}"));
    }
}

/// What caused an error, but for what it says itself.
pub(super) fn causes(error: &dyn Error) -> Vec<String> {
    let (mut told, mut causes) = (error.to_string(), Vec::new());
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // some errors say what their cause says, where it would be lost otherwise
        if !told.contains(text.trim_end()) {
            // and some say no more than it, with a number before
            if text.ends_with(&told) && causes.last() == Some(&told) {
                causes.pop();
            }
            causes.push(text.clone());
        }
        told = text;
        cause = error.source();
    }
    causes
}

/// Shows this below the lines, in place of what was shown there.
pub(super) fn show(below: Below) {
    stderr().change(|queue| queue.below = Some(below));
}

/// Waits until all that was told is written, but no longer than this.
pub(super) fn drain(longest: Duration) {
    if let Some(teller) = STDERR.get() {
        teller.drain(longest);
    }
}

/// What is shown below the lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Below {
    /// How many postings are through, of how many, and in what way; and what is being done.
    Bar {
        done: usize,
        of: usize,
        how: &'static str,
        text: String,
    },
    Nothing,
}

/// What a teller writes on. Each call may last as long as nobody reads.
pub(super) trait Screen: Send + 'static {
    fn line(&mut self, text: &str);
    fn below(&mut self, below: &Below);
}

/// What waits to be written.
#[derive(Debug, Default)]
struct Queue {
    entries: VecDeque<Entry>,
    /// How many of the entries are progress.
    progress: usize,
    /// How many lines of progress were left out, for the entry that tells it.
    left_out: usize,
    below: Option<Below>,
    is_writing: bool,
}

#[derive(Debug)]
enum Entry {
    Line(String),
    Progress(String),
    LeftOut,
}

/// What is written next.
#[derive(Debug)]
enum Next {
    Line(String),
    Below(Below),
}

impl Queue {
    fn add(&mut self, text: String) {
        self.entries.push_back(Entry::Line(text));
    }

    fn add_progress(&mut self, text: String) {
        match (self.left_out, self.progress) {
            (0, ..PROGRESS) => {
                self.progress += 1;
                self.entries.push_back(Entry::Progress(text));
            }
            // what was left out is told in one line, so nothing is taken before that is written
            (left_out, _) => {
                if left_out == 0 {
                    self.entries.push_back(Entry::LeftOut);
                }
                self.left_out += 1;
            }
        }
    }

    fn next(&mut self) -> Option<Next> {
        let text = match self.entries.pop_front() {
            Some(Entry::Line(text)) => text,
            Some(Entry::Progress(text)) => {
                self.progress -= 1;
                text
            }
            Some(Entry::LeftOut) => {
                let count = std::mem::take(&mut self.left_out);
                format!("  lines of progress that are left out, because nobody read them: {count}")
            }
            None => return self.below.take().map(Next::Below),
        };
        Some(Next::Line(text))
    }

    fn is_idle(&self) -> bool {
        self.entries.is_empty() && self.below.is_none() && !self.is_writing
    }
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what comes, for as long as the program runs.
    fn write(&self, screen: &mut dyn Screen) {
        let mut queue = self.queue();
        loop {
            let Some(next) = queue.next() else {
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            queue.is_writing = true;
            drop(queue);
            match next {
                Next::Line(text) => screen.line(&harmless(&text)),
                Next::Below(below) => screen.below(&below),
            }
            queue = self.queue();
            queue.is_writing = false;
            self.changed.notify_all();
        }
    }
}

/// Whoever tells leaves it here, and goes on.
#[derive(Debug)]
struct Teller {
    shared: Arc<Shared>,
    /// False if the system gave no thread: then each line waits for its reader.
    has_thread: bool,
}

impl Teller {
    fn new(mut screen: impl Screen) -> Self {
        let shared = Arc::<Shared>::default();
        let written = Arc::clone(&shared);
        let thread = thread::Builder::new().name("turing-stderr".to_owned());
        let has_thread = thread.spawn(move || written.write(&mut screen)).is_ok();
        Self { shared, has_thread }
    }

    fn change(&self, change: impl FnOnce(&mut Queue)) {
        let mut queue = self.shared.queue();
        change(&mut queue);
        if !self.has_thread {
            while let Some(next) = queue.next() {
                if let Next::Line(text) = next {
                    Terminal::default().line(&harmless(&text));
                }
            }
        }
        drop(queue);
        self.shared.changed.notify_all();
    }

    /// Answers whether all was written in time.
    fn drain(&self, longest: Duration) -> bool {
        let waited =
            self.shared
                .changed
                .wait_timeout_while(self.shared.queue(), longest, |queue| !queue.is_idle());
        let (queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        queue.is_idle()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use es_core::execution::{StoreError, StoreErrorKind};

    use super::*;

    #[test]
    fn a_cause_that_says_the_same_with_a_number_stands_for_both() {
        let error = |text: &str| StoreError::new(StoreErrorKind::Other, text);
        let full = error("disk full").caused_by(error("Error code 13: disk full"));
        let failed = error("writing").caused_by(full);
        assert_eq!(causes(&failed), ["Error code 13: disk full"]);
        let denied = error("opening x").caused_by(error("opening x").caused_by(error("denied")));
        assert_eq!(causes(&denied), ["denied"]);
    }

    /// Tells what it is asked to write, and has written it when that is allowed.
    struct Slow {
        asked: Sender<String>,
        allowed: Receiver<()>,
    }

    impl Screen for Slow {
        fn line(&mut self, text: &str) {
            self.asked.send(text.to_owned()).unwrap();
            // nobody allows anything any more: all is read at once
            let _ = self.allowed.recv();
        }

        fn below(&mut self, below: &Below) {
            self.line(&format!("{below:?}"));
        }
    }

    /// A teller that is stopped in the middle of its first line; what it is asked to write, and
    /// what lets it go on.
    fn stopped() -> (Teller, Receiver<String>, Sender<()>) {
        let ((asked, told), (allow, allowed)) = (channel(), channel());
        let teller = Teller::new(Slow { asked, allowed });
        teller.change(|queue| queue.add("first".to_owned()));
        assert_eq!(told.recv().unwrap(), "first");
        (teller, told, allow)
    }

    #[test]
    fn progress_that_nobody_reads_is_counted_and_all_else_is_kept() {
        let (teller, told, allow) = stopped();
        for number in 0..PROGRESS + 50 {
            teller.change(|queue| queue.add_progress(format!("progress {number}")));
        }
        for number in 0..1_000 {
            teller.change(|queue| queue.add(format!("warning {number}")));
        }
        teller.change(|queue| queue.add_progress("late".to_owned()));
        assert!(!teller.drain(Duration::ZERO), "nothing is read");
        drop(allow);
        assert!(teller.drain(Duration::MAX));
        let mut expected: Vec<_> =
            (0..PROGRESS).map(|number| format!("progress {number}")).collect();
        expected
            .push("  lines of progress that are left out, because nobody read them: 51".to_owned());
        expected.extend((0..1_000).map(|number| format!("warning {number}")));
        assert_eq!(told.try_iter().collect::<Vec<_>>(), expected);

        teller.change(|queue| queue.add_progress("read again".to_owned()));
        assert_eq!(told.recv().unwrap(), "read again");
    }

    #[test]
    fn only_the_last_state_of_the_bar_is_drawn_and_after_all_lines() {
        let (teller, told, allow) = stopped();
        let bar = |done| Below::Bar { done, of: 1_000, how: "ended", text: String::new() };
        for ended in 1..=1_000 {
            let below = bar(ended);
            teller.change(|queue| queue.below = Some(below));
        }
        teller.change(|queue| queue.add("line".to_owned()));
        drop(allow);
        assert!(teller.drain(Duration::MAX));
        let last = format!("{:?}", bar(1_000));
        assert_eq!(told.try_iter().collect::<Vec<_>>(), ["line".to_owned(), last]);
    }

    #[test]
    fn each_line_of_a_log_has_its_time() {
        let time = DateTime::from_timestamp(1_764_000_000, 999_999_999).unwrap();
        let lines = "2025-11-24T16:00:00Z one\n2025-11-24T16:00:00Z   two";
        assert_eq!(with_time(time, "one\n  two"), lines);
    }

    #[test]
    fn what_is_told_cannot_change_the_terminal() {
        let (teller, told, allow) = stopped();
        drop(allow);
        teller.change(|queue| queue.add("a\u{1b}[31m\nb".to_owned()));
        assert_eq!(told.recv().unwrap(), "a\\u{1b}[31m\nb");
    }
}
