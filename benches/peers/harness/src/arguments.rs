//! The figures that a peer's program can be asked for.

use std::str::FromStr;
use std::time::Duration;

use crate::Failure;

/// One figure.
pub(crate) enum Figure {
    /// Whole commands of so many callers, each on aggregates of its own.
    Command { callers: u64, seconds: Duration },
    /// Commands with so many events each, every one on a new aggregate.
    Batch { events: u64, callers: u64, seconds: Duration },
    /// Loads of an aggregate with so many events, by one caller.
    Load { events: u64, seconds: Duration },
    /// Two callers at one aggregate.
    Conflicts { seconds: Duration },
    /// Whether a follower sees everything while eight callers write.
    Loss { seconds: Duration },
}

impl Figure {
    /// `command CALLERS SECONDS`, `batch EVENTS CALLERS SECONDS`, `load EVENTS SECONDS`,
    /// `conflicts SECONDS` or `loss SECONDS`.
    pub(crate) fn from_arguments(arguments: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let words: Vec<String> = arguments.collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Ok(match words[..] {
            ["command", callers, time] => {
                Self::Command { callers: number(callers)?, seconds: seconds(time)? }
            }
            ["batch", events, callers, time] => {
                let (events, callers) = (number(events)?, number(callers)?);
                Self::Batch { events, callers, seconds: seconds(time)? }
            }
            ["load", events, time] => {
                Self::Load { events: number(events)?, seconds: seconds(time)? }
            }
            ["conflicts", time] => Self::Conflicts { seconds: seconds(time)? },
            ["loss", time] => Self::Loss { seconds: seconds(time)? },
            _ => return Err(format!("there is no figure {words:?}").into()),
        })
    }
}

fn number(word: &str) -> Result<u64, Failure> {
    let number = u64::from_str(word)?;
    if number == 0 { Err("at least 1 of something".into()) } else { Ok(number) }
}

fn seconds(word: &str) -> Result<Duration, Failure> {
    Ok(Duration::try_from_secs_f64(word.parse()?)?)
}
