//! How much is measured, and what.

use es_benches::is_measured;

use crate::Failure;

/// What the command line asks for.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Whether the curves are wanted, and not the figures.
    pub(crate) curves: bool,
    is_quick: bool,
    pub(crate) rounds: usize,
    /// The parts that are measured; all if none is named.
    only: Vec<String>,
    /// Which figures are measured: those whose names have one of these in them, or are what follows
    /// `=`; all if there is none.
    named: Vec<String>,
    /// Events of the log that is read.
    pub(crate) log: u64,
    /// Events of the posting that is loaded.
    pub(crate) long: u64,
    /// Events of the log whose follower's memory is measured.
    pub(crate) followed: u64,
    /// Events that are stored while appends, loads and pages are timed.
    pub(crate) few: u64,
    pub(crate) many: u64,
}

/// The parts of the figures.
pub(crate) const PARTS: [&str; 8] =
    ["writes", "loads", "models", "follow", "delay", "sqlite", "memory", "stored"];

impl Plan {
    const FULL: Self = Self {
        curves: false,
        is_quick: false,
        rounds: 3,
        only: Vec::new(),
        named: Vec::new(),
        log: 200_000,
        long: 10_000,
        followed: 1_000_000,
        few: 100_000,
        many: 10_000_000,
    };

    /// Sizes that only show that everything works.
    fn quick(self) -> Self {
        let (log, long, followed, few, many) = (400, 200, 1_000, 1_000, 2_000);
        Self { is_quick: true, rounds: 1, log, long, followed, few, many, ..self }
    }

    /// From the command line; a test of the benches is quick.
    pub(crate) fn asked(words: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut plan = Self::FULL;
        if !is_measured() {
            return Ok(plan.quick());
        }
        let mut words = words.filter(|word| word != "--bench");
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
            match word.as_str() {
                "curves" => plan.curves = true,
                "--quick" => plan = plan.quick(),
                "--rounds" => plan.rounds = value()?.parse::<usize>()?.max(1),
                "--stored" => plan.many = value()?.parse::<u64>()?.next_multiple_of(10).max(1_000),
                "--named" => plan.named.push(value()?),
                "--only" => plan.only.extend(value()?.split(',').map(str::to_owned)),
                _ => return Err(format!("unknown argument `{word}`").into()),
            }
        }
        match plan.only.iter().find(|only| !PARTS.contains(&only.as_str())) {
            Some(unknown) => Err(format!("`{unknown}` is none of {}", PARTS.join(", ")).into()),
            None => Ok(plan),
        }
    }

    /// Whether a part is wanted.
    pub(crate) fn has(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == part)
    }

    /// Whether a figure is wanted.
    pub(crate) fn takes(&self, figure: &str) -> bool {
        let is_it = |name: &String| match name.strip_prefix('=') {
            Some(whole) => figure == whole,
            None => figure.contains(name),
        };
        self.named.is_empty() || self.named.iter().any(is_it)
    }

    /// Whether all parts and figures are.
    pub(crate) fn has_all(&self) -> bool {
        self.only.is_empty() && self.named.is_empty()
    }

    /// Whether it is to be kept: it is of all parts, and of sizes that tell something.
    pub(crate) fn is_whole(&self) -> bool {
        !self.is_quick && self.has_all()
    }

    /// Whether a disturbed sample is taken again.
    pub(crate) fn insists(&self) -> bool {
        !self.is_quick
    }

    /// How many calls are made where so many tell something.
    pub(crate) fn calls(&self, full: u64) -> u64 {
        if self.is_quick { full.div_ceil(200).max(2) } else { full.max(1) }
    }

    /// How many calls come before those that are measured.
    pub(crate) fn warm_up(&self, calls: u64) -> u64 {
        if self.is_quick { 2 } else { (calls / 10).clamp(10, 500) }
    }

    /// The sizes of stores, no larger than is wanted.
    pub(crate) fn stored(&self, all: &[u64]) -> Vec<u64> {
        if self.is_quick {
            return vec![self.few, self.many];
        }
        all.iter().copied().filter(|size| *size <= self.many).collect()
    }

    /// Of the numbers that a curve has, those that are measured: if it is quick, the first two.
    pub(crate) fn along<'a>(&self, all: &'a [u64]) -> &'a [u64] {
        if self.is_quick { &all[..2] } else { all }
    }
}
