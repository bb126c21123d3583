//! Models of the whole log, made from zero, as ratios to reading its rows.

use std::time::Duration;

use es_benches::rounds::{Round, Rounds, Unit};
use turing::read_models::{ConversationRow, PostingRow};

use crate::models::{Way, made, passed};
use crate::postgres::Postgres;
use crate::sqlite::Template;
use crate::{Failure, Sizes};

/// The comparisons that every backend has.
struct Table {
    events: u64,
    rebuilt_states: Rounds,
    rebuilt_statistics: Rounds,
    caught_up_states: Rounds,
    caught_up_statistics: Rounds,
    passed: Rounds,
}

impl Table {
    fn new(events: u64) -> Self {
        let rounds = |name: &str, goal| Rounds::new(name, goal, Unit::EventsPerSecond);
        Self {
            events,
            rebuilt_states: rounds("rebuild posting_state, 2 slices", ""),
            rebuilt_statistics: rounds("rebuild conversation_statistics", ""),
            caught_up_states: rounds("catch up posting_state", ">= 0.5"),
            caught_up_statistics: rounds("catch up conversation_statistics", ">= 0.5"),
            passed: rounds("catch up run_progress, without rows", ">= 0.5"),
        }
    }

    fn round(&self, took: Duration) -> Round {
        Round { events: self.events, took }
    }

    fn print(&self) {
        let all = [
            &self.rebuilt_states,
            &self.rebuilt_statistics,
            &self.caught_up_states,
            &self.caught_up_statistics,
            &self.passed,
        ];
        all.iter().for_each(|rounds| println!("{}", rounds.line()));
    }
}

pub(crate) async fn on_postgres(postgres: &mut Postgres, sizes: &Sizes) -> Result<(), Failure> {
    let events = sizes.events();
    let mut table = Table::new(events);
    let mut in_sql = Rounds::new("rebuild_all_posting_states()", "", Unit::EventsPerSecond);
    for round in 0..=sizes.rounds {
        let read = table.round(postgres.read_log(events).await?);
        let mut took = Vec::new();
        for way in [Way::Rebuild, Way::CatchUp] {
            postgres.forget_models().await?;
            took.push(made::<PostingRow>(&postgres.store, way, events).await?);
            postgres.forget_models().await?;
            took.push(made::<ConversationRow>(&postgres.store, way, events).await?);
        }
        postgres.forget_models().await?;
        took.push(passed(&postgres.store, events).await?);
        let rebuilt = table.round(postgres.rebuild_all(events).await?);
        if round > 0 {
            add(&mut table, &took, &read);
            in_sql.add(&rebuilt, &read);
        }
    }
    // the database's statistics are of states that were removed
    postgres.vacuum().await?;
    println!("\nPostgreSQL\n{}", Rounds::headings("model", "plain sqlx"));
    table.print();
    println!("{}", in_sql.line());
    Ok(())
}

pub(crate) async fn on_sqlite(template: &Template, sizes: &Sizes) -> Result<(), Failure> {
    let events = sizes.events();
    let mut table = Table::new(events);
    let mut in_place = Rounds::new("plain rusqlite", "", Unit::EventsPerSecond);
    for round in 0..=sizes.rounds {
        let read = table.round(template.read_log(events).await?);
        let bare = table.round(template.read_log_bare(events)?);
        let mut took = Vec::new();
        for way in [Way::Rebuild, Way::CatchUp] {
            let copied = template.copied().await?;
            took.push(made::<PostingRow>(&copied.store, way, events).await?);
            copied.close().await?;
            let copied = template.copied().await?;
            took.push(made::<ConversationRow>(&copied.store, way, events).await?);
            copied.close().await?;
        }
        let copied = template.copied().await?;
        took.push(passed(&copied.store, events).await?);
        copied.close().await?;
        if round > 0 {
            add(&mut table, &took, &read);
            in_place.add(&bare, &read);
        }
    }
    println!("\nSQLite\n{}", Rounds::headings("this", "plain sqlx"));
    table.print();
    println!("{}", in_place.line());
    Ok(())
}

/// Adds what one round took, in the order of the table.
fn add(table: &mut Table, took: &[Duration], read: &Round) {
    let rounds: Vec<_> = took.iter().map(|took| table.round(*took)).collect();
    let all = [
        &mut table.rebuilt_states,
        &mut table.rebuilt_statistics,
        &mut table.caught_up_states,
        &mut table.caught_up_statistics,
        &mut table.passed,
    ];
    for (comparison, round) in all.into_iter().zip(&rounds) {
        comparison.add(round, read);
    }
}
