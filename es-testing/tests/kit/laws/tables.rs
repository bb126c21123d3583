//! The law of projections into tables holds for honest ones, and each lie of one is found.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use es_core::event::EventId;
use es_core::projection::{Changes, TableRow};
use es_core::{BoxError, Envelope, Event, Store, TableProjection};
use es_memory::MemoryStore;
use es_testing::laws::{self, LawViolation};
use proptest::prelude::{Just, Strategy, any, prop_oneof};

use super::broken;

#[derive(Event, Debug, Clone, PartialEq)]
enum CourseEvent {
    GradeGiven { grade: u8 },
    CourseEnded,
}
use CourseEvent::*;

stateless!(Course, "course", String, CourseEvent);

const LAW: &str = "table";

fn checked<P: TableProjection<Event = CourseEvent>>() -> Result<(), LawViolation> {
    let events = prop_oneof![any::<u8>().prop_map(|grade| GradeGiven { grade }), Just(CourseEnded)];
    let events = laws::in_streams_of::<Course>(["1", "2", "3"], events);
    laws::table::<P>(events, async || Store::from(MemoryStore::new()))
}

#[derive(TableRow)]
#[table(name = "last_grades")]
struct LastGrade {
    #[table(key)]
    course: String,
    grade: i64,
}

#[derive(TableRow)]
#[table(name = "grades")]
struct Grade {
    #[table(key)]
    course: String,
    #[table(key)]
    version: i64,
    grade: i64,
}

/// The last grade of each course until it ends, and all of them.
struct Honest;

impl TableProjection for Honest {
    const NAME: &'static str = "grades_given";
    type Event = CourseEvent;
    type Tables = (LastGrade, Grade);

    fn project(event: &Envelope<'_, CourseEvent>, rows: &mut Changes) -> Result<(), BoxError> {
        let (course, version) = (event.aggregate_id::<Course>()?, event.version.as_i64());
        match event.data {
            GradeGiven { grade } => {
                let grade = grade.into();
                rows.upsert(Grade { course: course.clone(), version, grade });
                rows.upsert(LastGrade { course, grade });
            }
            CourseEnded => rows.delete::<LastGrade>(course),
        }
        Ok(())
    }
}

#[test]
fn an_honest_projection_keeps_the_law() -> Result<(), LawViolation> {
    checked::<Honest>()
}

/// Makes a projection that says of each event what a function says.
macro_rules! grades {
    ($name:ident, $grade:expr) => {
        struct $name;

        impl TableProjection for $name {
            type Event = CourseEvent;
            type Tables = LastGrade;

            fn project(
                event: &Envelope<'_, CourseEvent>,
                rows: &mut Changes,
            ) -> Result<(), BoxError> {
                let course = event.aggregate_id::<Course>()?;
                let of: fn(&Envelope<'_, CourseEvent>) -> Result<i64, BoxError> = $grade;
                rows.upsert(LastGrade { course, grade: of(event)? });
                Ok(())
            }
        }
    };
}

#[test]
fn changes_that_are_not_pure_are_found() {
    static COUNT: AtomicI64 = AtomicI64::new(0);
    grades!(Counting, |_| Ok(COUNT.fetch_add(1, Ordering::SeqCst)));
    broken(checked::<Counting>(), LAW, ", and then [");
}

#[test]
fn a_refused_event_is_found() {
    grades!(Choosy, |event| match event.data {
        GradeGiven { grade } => Ok(grade.into()),
        CourseEnded => Err("nobody asked".into()),
    });
    broken(checked::<Choosy>(), LAW, "is not taken: nobody asked");
}

#[test]
fn rows_that_a_rebuild_makes_otherwise_are_found() {
    static CALLS: Mutex<Option<HashMap<EventId, u32>>> = Mutex::new(None);
    // live, and twice to see that it is pure
    const BEFORE: u32 = 3;
    grades!(Tired, |event| {
        let mut calls = CALLS.lock().unwrap();
        let calls = calls.get_or_insert_default().entry(event.event_id).or_default();
        *calls += 1;
        Ok(i64::from(*calls > BEFORE))
    });
    broken(checked::<Tired>(), LAW, ", which it has not live");
}

#[test]
fn a_store_that_takes_no_sql_is_told_of() {
    struct Updates;
    impl TableProjection for Updates {
        type Event = CourseEvent;
        type Tables = LastGrade;

        fn project(event: &Envelope<'_, CourseEvent>, rows: &mut Changes) -> Result<(), BoxError> {
            rows.update::<LastGrade>(event.aggregate_id::<Course>()?, "grade = 0", ());
            Ok(())
        }
    }
    broken(checked::<Updates>(), LAW, "use a file");
}
