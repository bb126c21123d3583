//! How a command ends, as exit codes of which each means one thing.

use std::fmt::Write;

/// What became of what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All is well.
    Well,
    /// Something was found, refused, failed or left open, or is not there.
    Found,
    /// What was asked for is wrong, and the answer says how.
    Wrong,
    /// The store, or something else that the machine has to give, cannot be used.
    NoStore,
    /// Another process does it now.
    Elsewhere,
    /// All is well but the answer, and nothing but the answer was asked for.
    Unprinted,
    /// Somebody has to finish another run first, or give it up.
    InTheWay,
    /// All is done but what people have to do.
    WaitsForPeople,
    /// All is done but what somebody has paused.
    Paused,
    /// Somebody has cancelled the run, which is over.
    Cancelled,
    /// It was asked to stop; what `EX_TEMPFAIL` of `sysexits.h` stands for.
    Stopped,
}

impl Verdict {
    const ALL: [Self; 11] = [
        Self::Well,
        Self::Found,
        Self::Wrong,
        Self::NoStore,
        Self::Elsewhere,
        Self::Unprinted,
        Self::InTheWay,
        Self::WaitsForPeople,
        Self::Paused,
        Self::Cancelled,
        Self::Stopped,
    ];

    pub(super) fn exit_code(self) -> u8 {
        match self {
            Self::Well => 0,
            Self::Found => 1,
            Self::Wrong => 2,
            Self::NoStore => 3,
            Self::Elsewhere => 4,
            Self::Unprinted => 5,
            Self::InTheWay => 6,
            Self::WaitsForPeople => 7,
            Self::Paused => 8,
            Self::Cancelled => 9,
            Self::Stopped => 75,
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::Well => "all is well",
            Self::Found => "something was found, was refused, failed, or is not there",
            Self::Wrong => "the request is wrong: arguments, definition or postings",
            Self::NoStore => {
                "the store, or something else that the system has to give, cannot be used"
            }
            Self::Elsewhere => "another process runs the workflow now",
            Self::Unprinted => "all is well, but the answer could not be printed",
            Self::InTheWay => "a run in progress is in the way; finish it, or give it up",
            Self::WaitsForPeople => "only people are waited for; the inbox lists what for",
            Self::Paused => "only what is paused is left; the same command goes on afterwards",
            Self::Cancelled => "the run was cancelled, and is over",
            Self::Stopped => "it was asked to stop; the same command goes on",
        }
    }
}

/// All of them, for `--help`.
pub(super) fn exit_codes() -> String {
    let mut text = "Exit codes:".to_owned();
    for verdict in Verdict::ALL {
        // a String takes whatever is written into it
        let _ = write!(text, "\n  {:>2}  {}", verdict.exit_code(), verdict.meaning());
    }
    text
}
