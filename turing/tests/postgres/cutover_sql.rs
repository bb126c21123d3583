//! What the SQL of a cutover promises: each scenario of `cutover_sql/*.sql` is a test, which begins with
//! the scenario `first` of its file, if there is one.
//!
//! A scenario is steps with empty lines in between. Each is SQL that a session executes, and what must come
//! of it:
//!
//! - `-- @NAME`: another session than that of the others. `-- @NAME waits`: it has to wait for somebody, and
//!   the next steps are done meanwhile; `-- @NAME goes on`: it is through.
//! - `-- do ACTION`: the statements of an action of the cutover, and its phase; or `backfill` or `validate`.
//! - `-- = TEXT`: the first column of a row, or `none` if there is no row.
//! - `-- ! SQLSTATE TEXT`: the refusal, and a part of what it says.

use std::collections::BTreeMap;
use std::thread::{self, JoinHandle};

use es_postgres::sqlx::postgres::{PgDatabaseError, PgRow};
use es_postgres::sqlx::{self, AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row};

use crate::database::Database;
use crate::support::processes::pause;

#[path = "cutover_sql/both.rs"]
mod both;

/// All postings, a hundred at a time.
const BACKFILL: &str = include_str!("cutover_sql/backfill.sql");
const VALIDATE: &str = include_str!("cutover_sql/validate.sql");

/// The statements of an action, in their order.
const STATEMENTS: &str = "SELECT s.statement FROM cutover_statements('{action}'::text) \
    WITH ORDINALITY s (statement, place) ORDER BY s.place";

/// How many sessions wait for somebody.
const WAITING: &str = "SELECT count(*)::text FROM pg_stat_activity \
    WHERE datname = current_database() AND wait_event_type = 'Lock'";

/// The first column of all rows.
type Done = Result<Vec<String>, sqlx::Error>;

/// The tests of a file.
macro_rules! promises {
    ($group:ident in $file:literal: $($promise:ident)*) => {
        mod $group {
            pub(super) const FILE: &str = include_str!(concat!("cutover_sql/", $file));
            pub(super) const PROMISES: &[&str] = &[$(stringify!($promise)),*];

            $(
                #[test]
                fn $promise() {
                    super::play(FILE, stringify!($promise));
                }
            )*
        }
    };
}

promises! {
    mapping in "mapping.sql":
    a_mapping_that_fits_has_no_problem
    a_column_that_is_not_there_is_told_with_the_nearest_one
    a_column_that_does_not_fit_is_told_with_what_would
    what_is_no_ordinary_table_is_refused
    another_table_has_another_digest
    what_should_be_known_before_is_told
    a_table_that_is_published_and_a_step_that_may_not_be_null_are_told_before
    a_trigger_that_waits_for_the_end_of_the_transaction_is_refused
}

promises! {
    reading in "reading.sql":
    every_old_row_can_be_read_or_says_why_not
    columns_that_are_not_mapped_are_not_compared
    each_kind_of_difference_is_told_of_its_posting
    a_value_that_is_cut_off_is_still_told_from_another
    a_row_has_the_same_text_in_every_session
    a_backfill_takes_each_row_over_once
    a_backfill_ends_after_a_moment_and_looks_at_one_row_at_least
    what_a_round_has_found_before_the_backfill_is_over_with_it
    a_difference_is_kept_until_both_agree
    validate_event_store_tells_what_differs_with_a_repair_that_works
    a_table_that_somebody_has_dropped_holds_no_event_up
}

promises! {
    resolving in "resolving.sql":
    what_was_accepted_stays_so_until_it_changes
    what_was_accepted_and_is_over_is_found_again
    a_discrepancy_is_resolved_from_the_side_that_is_named
    no_old_row_is_emptied_because_the_events_say_nothing
    what_stood_there_before_one_side_was_written_over_is_kept_in_the_record
    what_is_resolved_of_one_kind_leaves_the_other_parts_as_they_are
    what_was_accepted_is_written_over_by_no_event_until_both_agree
    what_was_accepted_and_differs_otherwise_names_the_acceptance
    an_older_program_takes_over_nothing_that_was_accepted_unless_it_writes_it
    what_a_cutover_has_found_is_kept_when_the_next_one_is_created
}

promises! {
    writing in "writing.sql":
    a_write_to_the_old_table_is_one_event_and_no_more
    an_event_is_written_to_the_old_row_and_imported_by_nobody
    a_raw_insert_of_many_events_is_written_to_each_old_row
    a_write_to_another_column_is_no_event
    a_write_to_another_column_takes_nothing_along_that_the_events_do_not_have
    rows_that_are_copied_upserted_renumbered_and_removed_are_all_taken_over
    an_import_takes_a_posting_out_of_its_run
    a_bulk_insert_holds_no_more_places_than_are_set_aside_for_a_transaction
    truncate_is_refused_with_what_to_do
    a_row_that_the_events_cannot_take_over_is_kept_as_a_discrepancy_and_written_all_the_same
    a_posting_that_cannot_be_registered_refuses_no_write_to_the_old_table
    no_event_is_written_over_an_old_row_that_was_not_taken_over
    what_the_old_table_refuses_refuses_the_event_and_says_what_to_do
    dual_write_writes_both_or_neither
    without_dual_writing_nothing_is_written_twice
    a_trigger_of_the_old_table_finds_what_is_in_its_schema
    what_the_schema_of_the_old_table_has_is_not_called_with_the_rights_of_the_store
    the_triggers_of_a_cutover_work_for_no_other_table
    a_column_that_gets_another_name_stops_no_older_program
    a_column_that_is_dropped_with_what_is_bound_to_it_stops_no_older_program
}

promises! {
    beside in "beside.sql":
    an_event_is_refused_while_somebody_writes_the_old_row
    a_writer_of_the_old_table_waits_for_an_event_and_goes_on
    a_circle_ends_with_the_writer_of_events
    an_event_is_refused_while_somebody_inserts_removes_or_renumbers_the_old_row
    an_old_row_that_is_made_waits_for_the_first_event_of_its_posting
    writers_of_the_old_table_wait_for_one_another_as_before
    an_event_waits_for_no_lock_on_the_old_table
    a_backfill_ends_before_a_row_that_somebody_writes_and_waits_only_for_its_first
    nobody_waits_for_somebody_who_resolves
    who_writes_by_the_view_is_refused_if_the_row_has_changed_since
    who_sees_the_database_as_it_was_before_the_cutover_tries_again
    who_sees_the_events_as_they_were_before_tries_again
    nothing_is_written_to_a_deprecated_table_by_who_sees_it_as_it_was_before
}

promises! {
    reads in "reads.sql":
    the_view_has_the_columns_of_the_table_in_their_order_and_types
    reads_come_from_the_events
    a_row_of_which_the_events_know_nothing_is_shown_as_it_is
    rows_of_the_view_can_be_locked
    what_is_written_to_the_view_is_in_the_table_and_in_the_events
    the_view_refuses_what_the_table_refuses
    upserts_have_a_place_before_and_after_the_switch
    what_read_the_table_reads_the_view_and_back
    nothing_is_deprecated_while_something_is_bound_to_the_table
    a_deprecated_table_is_read_from_the_events_and_written_by_nobody
    a_dropped_table_leaves_its_states
    rights_on_the_table_are_rights_on_the_view
    each_action_is_undone_without_a_trace
    what_groups_by_the_primary_key_alone_stays_with_the_table
    the_name_of_a_view_of_theirs_is_in_nobodys_way_back
    a_domain_that_refuses_nulls_lets_a_posting_be_read_that_began_in_the_events
    an_action_takes_locks_in_the_order_of_writers_and_reads_no_rows
}

#[test]
fn every_scenario_is_a_test() {
    for (file, promises) in [
        (mapping::FILE, mapping::PROMISES),
        (reading::FILE, reading::PROMISES),
        (resolving::FILE, resolving::PROMISES),
        (writing::FILE, writing::PROMISES),
        (beside::FILE, beside::PROMISES),
        (reads::FILE, reads::PROMISES),
    ] {
        let names: Vec<_> = scenarios(file).iter().map(|(name, _)| *name).collect();
        let names: Vec<_> = names.into_iter().filter(|name| *name != "first").collect();
        assert_eq!(names, promises);
    }
}

/// The scenarios of a file by their names.
fn scenarios(file: &'static str) -> Vec<(&'static str, &'static str)> {
    file.split("-- # ").skip(1).map(|block| block.split_once('\n').expect(block)).collect()
}

fn play(file: &'static str, name: &str) {
    let database = Database::migrated();
    let mut stage =
        Stage { database: &database, sessions: BTreeMap::new(), waiting: BTreeMap::new() };
    for (of, scenario) in scenarios(file) {
        if of == "first" || of == name {
            let steps = scenario.split("\n\n").filter(|step| !step.trim().is_empty());
            for step in steps {
                stage.perform(step);
            }
        }
    }
    assert!(stage.waiting.is_empty(), "each session that waits goes on");
    for session in stage.sessions.into_values() {
        database.runtime.block_on(session.close()).unwrap();
    }
}

/// A step, read.
#[derive(Debug, Default)]
struct Step {
    session: &'static str,
    waits: bool,
    goes_on: bool,
    action: Option<&'static str>,
    sql: String,
    rows: Vec<&'static str>,
    refusal: Option<(&'static str, &'static str)>,
}

impl Step {
    fn read(text: &'static str) -> Self {
        let mut step = Self { session: "main", ..Self::default() };
        for line in text.lines() {
            if let Some(of) = line.strip_prefix("-- @") {
                let (session, what) = of.split_once(' ').unwrap_or((of, ""));
                step.session = session;
                step.waits = what == "waits";
                step.goes_on = what == "goes on";
                assert!(what.is_empty() || step.waits || step.goes_on, "{line}");
            } else if let Some(action) = line.strip_prefix("-- do ") {
                step.action = Some(action);
            } else if let Some(row) = line.strip_prefix("-- = ") {
                step.rows.push(row.trim_end());
            } else if let Some(refusal) = line.strip_prefix("-- ! ") {
                step.refusal = Some(refusal.split_once(' ').unwrap_or((refusal, "")));
            } else {
                step.sql.push_str(line);
                step.sql.push('\n');
            }
        }
        step
    }
}

/// Where a scenario is played.
struct Stage<'a> {
    database: &'a Database,
    sessions: BTreeMap<&'static str, PgConnection>,
    waiting: BTreeMap<&'static str, JoinHandle<(PgConnection, Done)>>,
}

impl Stage<'_> {
    fn perform(&mut self, text: &'static str) {
        let step = Step::read(text);
        let done = if let Some(action) = step.action {
            self.act(action)
        } else if step.goes_on {
            let waiting = self.waiting.remove(step.session).expect(text);
            let (session, done) = waiting.join().unwrap();
            self.sessions.insert(step.session, session);
            done
        } else if step.waits {
            self.let_wait(&step);
            return;
        } else {
            self.execute(step.session, &step.sql)
        };
        match (step.refusal, done) {
            (Some((code, part)), Err(error)) => {
                let told = told(&error);
                assert!(told.starts_with(code) && told.contains(part), "{text}\n{told}");
            }
            (Some(_), Ok(rows)) => panic!("{text}\nit is not refused: {rows:?}"),
            (None, Err(error)) => panic!("{text}\n{error:?}"),
            (None, Ok(rows)) => {
                let expected = step.rows.iter().copied().filter(|row| *row != "none");
                let expected: Vec<&str> = expected.collect();
                assert!(step.rows.is_empty() || rows == expected, "{text}\n{rows:#?}");
            }
        }
    }

    fn session(&mut self, name: &str) -> PgConnection {
        match self.sessions.remove(name) {
            Some(session) => session,
            None => {
                let options = self.database.test.options();
                self.database.runtime.block_on(options.connect()).unwrap()
            }
        }
    }

    fn execute(&mut self, name: &'static str, sql: &str) -> Done {
        let mut session = self.session(name);
        let done = self.database.runtime.block_on(execute(&mut session, sql));
        self.sessions.insert(name, session);
        done
    }

    /// Begins what has to wait, and comes back when it does.
    fn let_wait(&mut self, step: &Step) {
        let mut session = self.session(step.session);
        let (handle, sql) = (self.database.runtime.handle().clone(), step.sql.clone());
        let waiting = thread::spawn(move || {
            let done = handle.block_on(execute(&mut session, &sql));
            (session, done)
        });
        while self.database.number(WAITING) == 0 {
            assert!(!waiting.is_finished(), "{}\nnobody is waited for", step.sql);
            pause();
        }
        self.waiting.insert(step.session, waiting);
    }

    fn act(&mut self, action: &str) -> Done {
        let phase = match action {
            "backfill" => return self.execute("main", BACKFILL),
            "validate" => return self.execute("main", VALIDATE),
            "undo-create" => 0,
            "create" | "undo-dual-write" => 1,
            "dual-write" => 2,
            "undo-switch-reads" => 3,
            "switch-reads" | "undo-deprecate" => 4,
            "deprecate" | "drop" => 5,
            _ => panic!("a cutover has no action {action}"),
        };
        let statements = self.execute("main", &STATEMENTS.replace("{action}", action))?;
        let statements = statements.join(";\n");
        let entered = format!("UPDATE public.cutovers SET phase = {phase}");
        let done = self.execute("main", &format!("BEGIN; {statements}; {entered}; COMMIT"));
        if done.is_err() {
            self.execute("main", "ROLLBACK")?;
        }
        done
    }
}

async fn execute(session: &mut PgConnection, sql: &str) -> Done {
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut *session).await?;
    let first = |row: &PgRow| row.get_unchecked::<Option<String>, _>(0);
    let shown =
        |text: Option<String>| text.map_or("null".to_owned(), |it| it.trim_end().to_owned());
    Ok(rows.iter().map(first).map(shown).collect())
}

/// A refusal as the server told it.
fn told(error: &sqlx::Error) -> String {
    let error = error.as_database_error().expect("the server answers");
    let error: &PgDatabaseError = error.downcast_ref();
    let rest = [error.detail(), error.hint(), error.constraint()].map(Option::unwrap_or_default);
    format!("{} {} {}", error.code(), error.message(), rest.join(" "))
}
