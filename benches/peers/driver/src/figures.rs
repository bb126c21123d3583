//! What is measured, of whom, and beside which limit.

use crate::peers::Peer;

/// One column of the table.
pub(crate) struct Figure {
    /// As the table calls it.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) limit: Limit,
    words: Vec<String>,
}

/// How a figure is shown, and who has it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Whole commands in a second.
    Command,
    /// The same of so many callers that only ours are asked.
    Crowd,
    /// Whole commands in a second on a store in memory, of those that have one.
    Memory,
    /// Events in a second, many in one command.
    Batch,
    /// The time of one load.
    Load,
    /// What two callers at one aggregate were told.
    Conflicts,
    /// What a follower missed.
    Loss,
}

/// What the server could do at most.
#[derive(Clone, Copy)]
pub(crate) enum Limit {
    Nothing,
    /// Its own benchmark program with so many clients and a single INSERT.
    Pgbench(u64),
    /// The same by hand through sqlx on a held connection.
    Sqlx,
    /// A thousand rows in one INSERT, by hand on one connection.
    Rows,
}

impl Figure {
    fn new(name: &str, kind: Kind, limit: Limit, words: &[&str]) -> Self {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Self { name: name.to_owned(), kind, limit, words }
    }

    fn command(kind: Kind, callers: u64) -> Self {
        let limit = match kind {
            Kind::Crowd => Limit::Rows,
            Kind::Memory => Limit::Nothing,
            _ => Limit::Pgbench(callers),
        };
        let plural = if callers == 1 { "" } else { "s" };
        let name = format!("whole command, {callers} caller{plural}");
        let callers = callers.to_string();
        let words = ["memory", "command", callers.as_str()];
        if kind == Kind::Memory {
            return Self::new(&format!("in memory: {name}"), kind, limit, &words);
        }
        Self::new(&name, kind, limit, &words[1..])
    }

    /// What a program is called with.
    pub(crate) fn arguments(&self, seconds: f64) -> Vec<String> {
        let mut words = self.words.clone();
        words.push(seconds.to_string());
        words
    }

    /// Whether a peer is asked for it.
    pub(crate) fn is_for(&self, peer: &Peer) -> bool {
        match self.kind {
            Kind::Command => true,
            Kind::Crowd => peer.is_ours(),
            // an append alone is no command
            Kind::Memory => peer.name != "ours-append",
            // an append alone loads nothing and knows no conflict of two commands; a cache changes none
            Kind::Batch => peer.name != "ours-cached",
            Kind::Load | Kind::Conflicts | Kind::Loss => {
                !peer.is_ours() || peer.name == "ours-command"
            }
        }
    }
}

/// All figures of peers; the quick ones are fewer and smaller.
pub(crate) fn all(is_quick: bool) -> Vec<Figure> {
    let callers: &[u64] = if is_quick { &[1, 8] } else { &[1, 8, 32] };
    let crowds: &[u64] = if is_quick { &[256] } else { &[256, 1_024] };
    let loads: &[u64] = if is_quick { &[10, 1_000] } else { &[10, 10_000] };
    let mut figures = Vec::new();
    figures.extend(callers.iter().map(|callers| Figure::command(Kind::Command, *callers)));
    figures.extend(crowds.iter().map(|callers| Figure::command(Kind::Crowd, *callers)));
    figures.extend(callers.iter().map(|callers| Figure::command(Kind::Memory, *callers)));
    let words = ["batch", "100", "1"];
    figures.push(Figure::new("100 events in one command", Kind::Batch, Limit::Sqlx, &words));
    figures.extend(loads.iter().map(|events| {
        let name = format!("load of {events} events");
        Figure::new(&name, Kind::Load, Limit::Sqlx, &["load", &events.to_string()])
    }));
    let name = "two callers at one aggregate";
    figures.push(Figure::new(name, Kind::Conflicts, Limit::Nothing, &["conflicts"]));
    let name = "following while eight callers write";
    figures.push(Figure::new(name, Kind::Loss, Limit::Nothing, &["loss"]));
    figures
}

/// So many rows in one INSERT, by so many connections.
pub(crate) fn rows(rows: &str, connections: &str) -> Figure {
    let plural = if connections == "1" { "" } else { "s" };
    let name = format!("{rows} rows in one INSERT, {connections} connection{plural}");
    Figure::new(&name, Kind::Batch, Limit::Nothing, &["batch", rows, connections])
}

/// Figures of the server alone.
pub(crate) fn limits() -> Vec<Figure> {
    vec![rows("100", "1"), rows("100", "2"), rows("1000", "1"), rows("1000", "2")]
}
