//! The law of rows, and the laws of what a store may give back otherwise than it was written.

use std::collections::BTreeMap;

use es_core::projection::{ApplyError, Keying, Projection};
use es_core::{Aggregate, Event, EventFilter, RecordedEvent, Snapshotted};
use es_testing::laws::{self, LawViolation, any_history};
use proptest::prelude::{Strategy, any};
use serde::{Deserialize, Deserializer, Serialize};

use super::broken;

#[derive(Event, Debug, Clone, PartialEq)]
enum GradeEvent {
    GradeGiven { grade: u8 },
}

fn grades() -> impl Strategy<Value = Vec<GradeEvent>> {
    any_history(any::<u8>().prop_map(|grade| GradeEvent::GradeGiven { grade }))
}

/// Makes a row of each grade.
struct Rows<R>(fn(u8) -> R, Keying<Self>);

impl<R> Projection for Rows<R>
where
    R: Serialize + for<'a> Deserialize<'a> + Send + Sync + 'static,
{
    const NAME: &'static str = "rows";
    const VERSION: u32 = 1;
    type Row = R;

    fn selection(&self) -> EventFilter {
        EventFilter::of::<GradeEvent>()
    }

    fn keying(&self) -> Keying<Self> {
        match self.1 {
            Keying::Stream => Keying::Stream,
            Keying::Across(keys) => Keying::Across(keys),
        }
    }

    fn apply(&self, _: &str, _: Option<R>, event: &RecordedEvent) -> Result<Option<R>, ApplyError> {
        let GradeEvent::GradeGiven { grade } = event.decode_one()?;
        match grade {
            0 => Ok(None),
            13 => Err("it brings bad luck".into()),
            _ => Ok(Some((self.0)(grade))),
        }
    }
}

fn checked<R>(row: fn(u8) -> R) -> Result<(), LawViolation>
where
    R: Serialize + for<'a> Deserialize<'a> + std::fmt::Debug + PartialEq + Send + Sync + 'static,
{
    laws::rows_round_trip(Rows(row, Keying::Stream), "course", grades())
}

const LAW: &str = "rows_round_trip";

#[test]
fn honest_rows_keep_the_law_under_any_keys() {
    assert_eq!(checked(|grade| (grade, Some(f64::from(grade) / 7.0))), Ok(()));
    let keys = Keying::Across(|_: &Rows<u8>, event: &RecordedEvent| {
        let GradeEvent::GradeGiven { grade } = event.decode_one()?;
        Ok((0..grade % 3).map(|key| key.to_string()).collect())
    });
    assert_eq!(laws::rows_round_trip(Rows(|grade| grade, keys), "course", grades()), Ok(()));
}

#[test]
fn rows_that_are_not_stored_as_they_are_are_found() {
    broken(checked(|grade| 1.0 / f64::from(grade - 1)), LAW, "inf is no number of JSON");
    broken(checked(|grade| "\0".repeat(usize::from(grade > 9))), LAW, "U+0000");

    /// Read directly only where the tag comes first.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "type", content = "data")]
    enum Tagged {
        Counts(BTreeMap<u8, u8>),
    }
    broken(checked(|grade| Tagged::Counts([(grade, 1)].into())), LAW, "cannot be read back");

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Rounded(#[serde(deserialize_with = "tens")] u8);
    fn tens<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
        u8::deserialize(from).map(|grade| grade / 10 * 10)
    }
    broken(checked(Rounded), LAW, "it is read back as another value, (all): ");

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Forgetful {
        #[serde(skip)]
        grade: u8,
    }
    broken(checked(|grade| Forgetful { grade }), LAW, "Forgetful { grade: 0 } is read from {}");
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
    let checked = laws::snapshots_equal_replay::<Counting>(grades());
    broken(
        checked,
        "snapshots_equal_replay",
        "after 1 events cannot be kept: it cannot be read back",
    );
}
