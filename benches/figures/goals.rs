//! What is compared with what, and what the ratio should be.

use std::fmt::Write;

use es_benches::rounds::median;

use crate::samples::{Figures, Value, spread};
use crate::{Failure, Plan};

/// A ratio of two figures of the same round, or a figure by itself.
struct Goal {
    name: &'static str,
    ours: &'static str,
    /// The other side; without one the figure itself is told.
    other: Option<&'static str>,
    value: Value,
    is_less_better: bool,
    must: f64,
    aim: f64,
}

const fn rate(
    name: &'static str,
    ours: &'static str,
    other: &'static str,
    must: f64,
    aim: f64,
) -> Goal {
    let (value, other) = (Value::Rate, Some(other));
    Goal { name, ours, other, value, is_less_better: false, must, aim }
}

const fn time(
    name: &'static str,
    ours: &'static str,
    other: &'static str,
    must: f64,
    aim: f64,
) -> Goal {
    let (value, other) = (Value::Middle, Some(other));
    Goal { name, ours, other, value, is_less_better: true, must, aim }
}

const FETCH: &str = "plain fetch of the log";
const LIMIT: &str = "UNNEST-1000, 1 connection";
/// The same with rows as callers give them, each to another posting.
const SPREAD: &str = "UNNEST-1000 to as many postings, 1 connection";

/// Those of PostgreSQL and SQLite; commands are compared with other libraries' elsewhere.
const GOALS: &[Goal] = &[
    rate("append, 1 caller, to pgbench", "append, 1 caller", "pgbench, 1 client", 0.80, 0.95),
    rate("append, 8 callers, to pgbench", "append, 8 callers", "pgbench, 8 clients", 0.75, 0.90),
    rate("append, 32 callers, to pgbench", "append, 32 callers", "pgbench, 32 clients", 1.6, 2.2),
    Goal {
        value: Value::Most,
        is_less_better: true,
        ..rate(
            "the same: within which 99 of 100 were",
            "append, 32 callers",
            "pgbench, 32 clients",
            1.0,
            0.6,
        )
    },
    rate("append, 256 callers, to UNNEST-1000", "append, 256 callers", LIMIT, 0.75, 1.0),
    rate("append, 1,024 callers, to UNNEST-1000", "append, 1024 callers", LIMIT, 0.85, 1.2),
    rate("the same, 256 callers, to as many postings", "append, 256 callers", SPREAD, 0.75, 1.0),
    rate("the same, 1,024 callers, to as many postings", "append, 1024 callers", SPREAD, 0.85, 1.2),
    rate(
        "100 events in one command, to UNNEST-100",
        "100 events in one command",
        "UNNEST-100, 1 connection",
        0.95,
        1.0,
    ),
    time(
        "load of 10, to the statement on a held connection",
        "load of 10",
        "load of 10, held connection",
        1.3,
        1.1,
    ),
    rate("load of 10,000, to sqlx fetch", "load of 10,000", "load of 10,000, sqlx fetch", 0.7, 0.9),
    rate("catch-up, no rows, to plain fetch", "catch-up, no rows", FETCH, 0.65, 0.85),
    rate("catch-up, a row a stream, to plain fetch", "catch-up, a row a stream", FETCH, 0.5, 0.7),
    rate("catch-up, a table, to plain fetch", "catch-up, a table of one's own", FETCH, 0.5, 0.7),
    rate("rebuild, 2 slices, to plain fetch", "rebuild, a row a stream, 2 slices", FETCH, 0.6, 0.9),
    time(
        "append, many stored to few, early plans",
        "append, many stored, early plans",
        "append, few stored, early plans",
        1.3,
        1.1,
    ),
    time(
        "load of 10, many stored to few, early plans",
        "load of 10, many stored, early plans",
        "load of 10, few stored, early plans",
        1.3,
        1.1,
    ),
    time(
        "page of the log, many stored to few, early plans",
        "page of the log, many stored, early plans",
        "page of the log, few stored, early plans",
        1.3,
        1.1,
    ),
    time(
        "append, many stored to few, late plans",
        "append, many stored, late plans",
        "append, few stored, late plans",
        1.3,
        1.1,
    ),
    time(
        "load of 10, many stored to few, late plans",
        "load of 10, many stored, late plans",
        "load of 10, few stored, late plans",
        1.3,
        1.1,
    ),
    time(
        "page of the log, many stored to few, late plans",
        "page of the log, many stored, late plans",
        "page of the log, few stored, late plans",
        1.3,
        1.1,
    ),
    Goal {
        name: "memory of following all, MB",
        ours: "memory of following all",
        other: None,
        value: Value::Peak,
        is_less_better: true,
        must: 64.0,
        aim: 32.0,
    },
    rate("SQLite: append, 1 caller", "SQLite: append, 1 caller", "rusqlite: append", 0.85, 0.95),
    rate("SQLite: append, 32 callers", "SQLite: append, 32 callers", "rusqlite: append", 5.5, 8.0),
    rate("SQLite: 100 at once", "SQLite: 100 at once", "rusqlite: 100 at once", 0.8, 0.9),
    time("SQLite: load of 10,000", "SQLite: load of 10,000", "rusqlite: load of 10,000", 1.3, 1.1),
    rate(
        "SQLite: 32 callers beside three models, to without",
        "SQLite: append, 32 callers, three live models",
        "SQLite: append, 32 callers",
        0.7,
        0.9,
    ),
];

impl Goal {
    fn values(&self, figures: &Figures) -> Vec<f64> {
        let ours = figures.values(self.ours, self.value);
        let Some(other) = self.other else { return ours };
        let others = figures.values(other, self.value);
        ours.iter().zip(&others).map(|(ours, other)| ours / other).collect()
    }

    fn reached(&self, found: f64) -> &'static str {
        let is_within = |bound| if self.is_less_better { found <= bound } else { found >= bound };
        match (is_within(self.must), is_within(self.aim)) {
            (_, true) => "aim",
            (true, false) => "must",
            (false, false) => "**missed**",
        }
    }
}

/// The goals of which both sides were measured, as a table; of all parts no goal may lack.
pub(crate) fn table(figures: &Figures, plan: &Plan) -> Result<String, Failure> {
    let mut table =
        String::from("| ratio | found | must | aim | reached |\n|---|---|---|---|---|\n");
    for goal in GOALS {
        let values = goal.values(figures);
        if values.is_empty() {
            if plan.has_all() {
                return Err(format!("nothing was measured for `{}`", goal.name).into());
            }
            continue;
        }
        let sign = if goal.is_less_better { "<=" } else { ">=" };
        let _ = writeln!(
            table,
            "| {} | {} | {sign} {} | {sign} {} | {} |",
            goal.name,
            spread(&values, 2),
            goal.must,
            goal.aim,
            goal.reached(median(&values)),
        );
    }
    Ok(table)
}
