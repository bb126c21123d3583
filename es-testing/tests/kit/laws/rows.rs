//! The law of rows, and the laws of what a store may give back otherwise than it was written.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};

use es_core::backend::StreamId;
use es_core::execution::Snapshotted;
use es_core::projection::Keying;
use es_core::{Aggregate, BoxError, Envelope, Event, Projection};
use es_testing::laws::{self, LawViolation, any_history};
use proptest::prelude::{Strategy, any};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use super::broken;

#[derive(Event, Debug, Clone, PartialEq)]
enum GradeEvent {
    GradeGiven { grade: u8 },
}

stateless!(Course, "course", u64, GradeEvent);

fn any_grade() -> impl Strategy<Value = GradeEvent> {
    any::<u8>().prop_map(|grade| GradeEvent::GradeGiven { grade })
}

fn grades() -> impl Strategy<Value = Vec<(StreamId, GradeEvent)>> {
    any_history(laws::in_streams_of::<Course>(["1", "2", "3"], any_grade()))
}

/// What is made of a grade.
trait Made: Serialize + DeserializeOwned + Debug + PartialEq + Send + Sync + 'static {
    fn of(grade: u8) -> Self;
}

/// A row of the last grade, of each course or across them.
#[derive(PartialEq, Serialize, Deserialize)]
struct Row<R, const ACROSS: bool>(R);

impl<R: Debug, const ACROSS: bool> Debug for Row<R, ACROSS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<R: Made, const ACROSS: bool> Projection for Row<R, ACROSS> {
    const NAME: &'static str = "rows";
    type Event = GradeEvent;
    type Key = u64;

    fn keying() -> Keying<Self> {
        if !ACROSS {
            return Keying::per_stream::<Course>();
        }
        Keying::<Self>::across_streams(|event| {
            let GradeEvent::GradeGiven { grade } = event.data;
            Vec::from_iter(0..u64::from(grade % 3))
        })
    }

    fn evolve(
        _: &u64,
        row: &mut Option<Self>,
        event: &Envelope<'_, GradeEvent>,
    ) -> Result<(), BoxError> {
        let GradeEvent::GradeGiven { grade } = event.data;
        *row = match grade {
            0 => None,
            13 => return Err("it brings bad luck".into()),
            _ => Some(Self(R::of(grade))),
        };
        Ok(())
    }
}

fn checked<R: Made>() -> Result<(), LawViolation> {
    laws::rows_round_trip::<Row<R, false>>(grades())
}

const LAW: &str = "rows_round_trip";

impl Made for (u8, Option<f64>) {
    fn of(grade: u8) -> Self {
        (grade, Some(f64::from(grade) / 7.0))
    }
}

impl Made for f64 {
    fn of(grade: u8) -> Self {
        1.0 / f64::from(grade - 1)
    }
}

impl Made for String {
    fn of(grade: u8) -> Self {
        "\0".repeat(usize::from(grade > 9))
    }
}

#[test]
fn honest_rows_keep_the_law_under_any_keys() {
    assert_eq!(checked::<(u8, Option<f64>)>(), Ok(()));
    assert_eq!(laws::rows_round_trip::<Row<(u8, Option<f64>), true>>(grades()), Ok(()));
}

#[test]
fn rows_that_are_not_stored_as_they_are_are_found() {
    broken(checked::<f64>(), LAW, "inf is no number of JSON");
    broken(checked::<String>(), LAW, "U+0000");

    /// Read directly only where the tag comes first.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "type", content = "data")]
    enum Tagged {
        Counts(BTreeMap<u8, u8>),
    }
    impl Made for Tagged {
        fn of(grade: u8) -> Self {
            Self::Counts([(grade, 1)].into())
        }
    }
    broken(checked::<Tagged>(), LAW, "cannot be read back");

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Rounded(#[serde(deserialize_with = "tens")] u8);
    fn tens<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
        u8::deserialize(from).map(|grade| grade / 10 * 10)
    }
    impl Made for Rounded {
        fn of(grade: u8) -> Self {
            Self(grade)
        }
    }
    broken(checked::<Rounded>(), LAW, "it is read back as another value, (all): ");

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Forgetful {
        #[serde(skip)]
        grade: u8,
    }
    impl Made for Forgetful {
        fn of(grade: u8) -> Self {
            Self { grade }
        }
    }
    broken(checked::<Forgetful>(), LAW, "Forgetful { grade: 0 } is read from {}");
}

#[test]
fn ids_that_are_none_of_the_aggregate_are_found() {
    let histories = any_history(laws::in_streams_of::<Course>(["a", "b", "c"], any_grade()));
    let checked = laws::rows_round_trip::<Row<(u8, Option<f64>), false>>(histories);
    broken(checked, LAW, "its key is not read back: `a` is no 64-bit unsigned integer id");
}

#[test]
fn an_event_that_is_equal_and_yet_written_otherwise_is_found() {
    /// Equal in any case of letters.
    #[derive(Debug, Clone, Serialize, Deserialize)]
    struct Name(#[serde(deserialize_with = "lower")] String);
    impl PartialEq for Name {
        fn eq(&self, other: &Self) -> bool {
            self.0.eq_ignore_ascii_case(&other.0)
        }
    }
    fn lower<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
        String::deserialize(from).map(|text| text.to_ascii_lowercase())
    }
    #[derive(Event, Debug, PartialEq)]
    enum Naming {
        NameGiven { name: Name },
    }
    let events = "[a-zA-Z]{1,3}".prop_map(|name| Naming::NameGiven { name: Name(name) });
    broken(laws::events_round_trip(events), "events_round_trip", "what is written as");
}

#[test]
fn a_kept_state_that_another_order_of_keys_makes_unreadable_is_found() {
    #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "type", content = "data")]
    enum Counting {
        #[default]
        Nothing,
        Counts(BTreeMap<u8, u8>),
    }
    impl Aggregate for Counting {
        const TYPE: &'static str = "counting";
        type Id = i64;
        type Event = GradeEvent;

        fn evolve(&mut self, GradeEvent::GradeGiven { grade }: &GradeEvent) {
            *self = Self::Counts([(*grade, 1)].into());
        }
    }
    impl Snapshotted for Counting {
        const REVISION: u32 = 1;
    }
    let checked = laws::snapshots_equal_replay::<Counting>(any_history(any_grade()));
    broken(
        checked,
        "snapshots_equal_replay",
        "after 1 events cannot be kept: it cannot be read back",
    );
}
