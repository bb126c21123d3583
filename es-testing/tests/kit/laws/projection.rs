//! The law of projections holds for honest ones, and each lie of one is found.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use es_core::backend::StreamId;
use es_core::event::{EventFilter, RecordedEvent};
use es_core::projection::Keying;
use es_core::{BoxError, Envelope, Event, Projection, Store};
use es_memory::MemoryStore;
use es_testing::laws::{self, LawViolation};
use proptest::prelude::{Strategy, any, prop_oneof};
use serde::{Deserialize, Deserializer, Serialize};

use super::broken;

#[derive(Event, Debug, Clone, PartialEq)]
enum GradeEvent {
    TeacherNamed { teacher: u8 },
    GradeGiven { grade: u8 },
}
use GradeEvent::*;

#[derive(Event, Debug, Clone, PartialEq)]
enum RoomEvent {
    RoomGiven { room: u8 },
}

#[derive(Event, Debug, Clone, PartialEq)]
#[event(union)]
enum SchoolEvent {
    Grade(GradeEvent),
    Room(RoomEvent),
}

stateless!(Course, "course", u64, GradeEvent);
stateless!(Room, "room", u64, RoomEvent);

fn in_courses() -> impl Strategy<Value = (StreamId, GradeEvent)> {
    let events = prop_oneof![
        any::<u8>().prop_map(|teacher| TeacherNamed { teacher }),
        any::<u8>().prop_map(|grade| GradeGiven { grade }),
    ];
    laws::in_streams_of::<Course>(["1", "2", "3"], events)
}

fn in_school() -> impl Strategy<Value = (StreamId, SchoolEvent)> {
    let rooms = any::<u8>().prop_map(|room| RoomEvent::RoomGiven { room });
    let rooms = laws::in_streams_of::<Room>(["1", "2", "3"], rooms);
    prop_oneof![
        in_courses().prop_map(|(stream, event)| (stream, SchoolEvent::from(event))),
        rooms.prop_map(|(stream, event)| (stream, SchoolEvent::from(event))),
    ]
}

fn store() -> Store {
    MemoryStore::new().into()
}

const LAW: &str = "projection";

fn checked<P>() -> Result<(), LawViolation>
where
    P: Projection<Event = GradeEvent> + std::fmt::Debug + PartialEq,
{
    laws::projection::<P>(in_courses(), store)
}

type Evolve<R> = fn(&mut Option<R>, &Envelope<'_, GradeEvent>) -> Result<(), BoxError>;

/// Makes a projection of a course's grades, which differ in one part.
macro_rules! projection {
    ($row:ident by $key:ty: $keying:expr, $evolve:expr) => {
        impl Projection for $row {
            const NAME: &'static str = stringify!($row);
            type Event = GradeEvent;
            type Key = $key;

            fn keying() -> Keying<Self> {
                $keying
            }

            fn evolve(
                _: &$key,
                row: &mut Option<Self>,
                event: &Envelope<'_, GradeEvent>,
            ) -> Result<(), BoxError> {
                let evolve: Evolve<Self> = $evolve;
                evolve(row, event)
            }
        }
    };
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Grades {
    teacher: Option<u8>,
    sum: u64,
}

projection!(Grades by u64: Keying::per_stream::<Course>(), |row, event| {
    match event.data {
        // who gave no grade is forgotten
        TeacherNamed { teacher: 0 } => *row = None,
        TeacherNamed { teacher } => row.get_or_insert_default().teacher = Some(teacher),
        GradeGiven { grade } => row.get_or_insert_default().sum += u64::from(grade),
    }
    Ok(())
});

/// The last event that named the row, and the places of all.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Across {
    places: Vec<(String, u64)>,
}

impl Projection for Across {
    const NAME: &'static str = "across";
    type Event = SchoolEvent;
    type Key = (String, u64);

    fn selection() -> EventFilter {
        EventFilter::events([GradeEvent::GRADE_GIVEN, RoomEvent::ROOM_GIVEN])
    }

    fn keying() -> Keying<Self> {
        Keying::<Self>::across_streams(|event| {
            let number = match event.data {
                SchoolEvent::Grade(TeacherNamed { .. }) => return Vec::new(),
                SchoolEvent::Grade(GradeGiven { grade }) => grade,
                SchoolEvent::Room(RoomEvent::RoomGiven { room }) => room,
            };
            vec![("all".to_owned(), 0), ("rest".to_owned(), u64::from(number % 3))]
        })
    }

    fn evolve(
        _: &(String, u64),
        row: &mut Option<Self>,
        event: &Envelope<'_, SchoolEvent>,
    ) -> Result<(), BoxError> {
        let place = (event.stream.to_string(), event.position.to_sequence());
        row.get_or_insert(Self { places: Vec::new() }).places.push(place);
        Ok(())
    }
}

#[test]
fn honest_projections_keep_the_law() -> Result<(), LawViolation> {
    checked::<Grades>()?;
    laws::projection::<Across>(in_school(), store)
}

#[test]
fn rows_that_are_not_pure_are_found() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Counting(u64);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    projection!(Counting by u64: Keying::per_stream::<Course>(), |row, _| {
        *row = Some(Counting(COUNT.fetch_add(1, Ordering::SeqCst)));
        Ok(())
    });
    broken(checked::<Counting>(), LAW, "of the rows, and then ");
}

#[test]
fn keys_that_are_not_pure_are_found() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Keyed(u64);
    static KEY: AtomicU64 = AtomicU64::new(0);
    fn next(_: &RecordedEvent) -> u64 {
        KEY.fetch_add(1, Ordering::SeqCst)
    }
    projection!(Keyed by u64: Keying::by_metadata(next), |row, _| {
        *row = Some(Keyed(0));
        Ok(())
    });
    broken(checked::<Keyed>(), LAW, "and then [");
}

/// A teacher is remembered for whatever stream comes next.
#[test]
fn rows_of_streams_that_are_concerned_by_others_are_found() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Remembered(Option<u8>);
    static TEACHER: Mutex<Option<u8>> = Mutex::new(None);
    projection!(Remembered by u64: Keying::per_stream::<Course>(), |row, event| {
        let mut last = TEACHER.lock().unwrap();
        if event.position.to_sequence() == 1 {
            *last = None;
        }
        match event.data {
            TeacherNamed { teacher } => *last = Some(teacher),
            GradeGiven { .. } => *row = Some(Remembered(*last)),
        }
        Ok(())
    });
    broken(checked::<Remembered>(), LAW, " slices the row `course/");
}

#[test]
fn a_refused_event_is_found() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Choosy(u8);
    projection!(Choosy by u64: Keying::per_stream::<Course>(), |row, event| {
        let GradeGiven { grade } = event.data else { return Err("nobody asked".into()) };
        *row = Some(Choosy(grade));
        Ok(())
    });
    broken(checked::<Choosy>(), LAW, "is not taken: nobody asked");
}

#[test]
fn a_row_that_is_read_as_another_one_is_found() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Forgetful {
        #[serde(skip)]
        events: u8,
    }
    projection!(Forgetful by u64: Keying::per_stream::<Course>(), |row, _| {
        *row = Some(Forgetful { events: 7 });
        Ok(())
    });
    broken(checked::<Forgetful>(), LAW, "Forgetful { events: 0 }) is read");

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Rounded(#[serde(deserialize_with = "tens")] u8);
    fn tens<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
        u8::deserialize(from).map(|grade| grade / 10 * 10)
    }
    projection!(Rounded by u64: Keying::per_stream::<Course>(), |row, _| {
        *row = Some(Rounded(7));
        Ok(())
    });
    broken(checked::<Rounded>(), LAW, "it is read back as another value");
}
