//! How far a cutover is, and what can be done next.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How far a cutover is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum CutoverPhase {
    /// There is none: the old table stands alone.
    #[default]
    None,
    /// It is known which column of the old table means what; nothing is written yet.
    Created,
    /// Whatever is written to the old table becomes an event, and each event is written to it.
    DualWrite,
    /// A whole round of comparisons has found nothing, and all that was there is imported.
    Validated,
    /// Who reads the old table by its name reads the state that is folded from events.
    ReadsSwitched,
    /// The old table is out of use, under another name.
    Deprecated,
}

impl CutoverPhase {
    /// All phases, in their order.
    pub const ALL: [Self; 6] = [
        Self::None,
        Self::Created,
        Self::DualWrite,
        Self::Validated,
        Self::ReadsSwitched,
        Self::Deprecated,
    ];

    /// The place of the phase among all, as it is stored.
    pub fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Created => 1,
            Self::DualWrite => 2,
            Self::Validated => 3,
            Self::ReadsSwitched => 4,
            Self::Deprecated => 5,
        }
    }

    /// The phase with this number, if there is one.
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.number() == number)
    }

    /// The phase before this one.
    pub fn before(self) -> Option<Self> {
        self.number().checked_sub(1).and_then(Self::of_number)
    }

    /// The name of the phase, such as `dual-write`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Created => "created",
            Self::DualWrite => "dual-write",
            Self::Validated => "validated",
            Self::ReadsSwitched => "reads-switched",
            Self::Deprecated => "deprecated",
        }
    }
}

impl fmt::Display for CutoverPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no phase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no phase `{text}`; there are none, created, dual-write, validated, reads-switched and \
     deprecated"
)]
pub struct PhaseError {
    text: String,
}

impl FromStr for CutoverPhase {
    type Err = PhaseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|phase| phase.name() == text);
        named.ok_or_else(|| PhaseError { text: text.chars().take(40).collect() })
    }
}

/// What can be done about a cutover, by somebody who carries it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CutoverStep {
    /// Say which column of the old table means what.
    Create,
    /// Have both sides written.
    DualWrite,
    /// Import what was there before.
    Backfill,
    /// Compare both sides.
    Validate,
    /// Show the state that is folded from events under the old name.
    SwitchReads,
    /// Take the old table out of use.
    Deprecate,
    /// Write the old table to a file.
    Archive,
    /// Drop the old table.
    Drop,
}

impl CutoverStep {
    /// The step as the words of a command, in which what stands in capital letters is to be said.
    pub fn words(self) -> &'static str {
        match self {
            Self::Create => "create --mapping FILE",
            Self::DualWrite => "dual-write",
            Self::Backfill => "backfill",
            Self::Validate => "validate",
            Self::SwitchReads => "switch-reads",
            Self::Deprecate => "deprecate",
            Self::Archive => "deprecate --archive FILE",
            Self::Drop => "deprecate --drop --confirm TABLE --archive FILE",
        }
    }
}

impl fmt::Display for CutoverStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}
