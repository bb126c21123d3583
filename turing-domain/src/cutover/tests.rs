//! Decisions by example, and each command in each phase.

mod rounds;

use std::time::Duration;

use es_core::event::{Payload, Timestamp};
use es_core::execution::fold;
use es_testing::spec::given;

use super::*;
use crate::ids::PostingId;
use crate::names::Resolution;

/// Places in a cutover at which the commands mean something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Station {
    Nothing,
    Created,
    DualWrite,
    Backfilling,
    Backfilled,
    Validated,
    Switched,
    Deprecated,
    Archived,
    Dropped,
}

use Station::*;

const STATIONS: [Station; 10] = [
    Nothing,
    Created,
    DualWrite,
    Backfilling,
    Backfilled,
    Validated,
    Switched,
    Deprecated,
    Archived,
    Dropped,
];

impl Station {
    /// All that happened up to there.
    fn events(self) -> Vec<CutoverEvent> {
        let place = STATIONS.iter().position(|station| *station == self).unwrap();
        STATIONS[..=place].iter().flat_map(|station| station.last()).collect()
    }

    /// What leads there from the station before.
    fn last(self) -> Option<CutoverEvent> {
        let Who { by, reason } = who();
        Some(match self {
            Nothing => return None,
            Created => CutoverEvent::CutoverCreated {
                table: "public.old".to_owned(),
                mapping: mapping(),
                mapping_digest: "7f".to_owned(),
                rows: 3,
                by,
                reason,
            },
            DualWrite => CutoverEvent::DualWriteEnabled { rows: 3, by, reason },
            Backfilling => CutoverEvent::BackfillStarted { total: 3, by, reason },
            Backfilled => CutoverEvent::BackfillCompleted {
                seen: 3,
                imported: 2,
                written_back: 1,
                refused: 0,
                by,
                reason,
            },
            Validated => CutoverEvent::ValidationCompleted { seen: 3, open: 0, by, reason },
            Switched => {
                CutoverEvent::ReadsSwitched { before_us: 20, after_us: 10, sample: 5, by, reason }
            }
            Deprecated => {
                CutoverEvent::OldTableDeprecated { rows: 3, deprecated_at: day(0), by, reason }
            }
            Archived => CutoverEvent::OldTableArchived {
                file_name: "old.csv".to_owned(),
                sha256: "ab".to_owned(),
                rows: 3,
                bytes: 99,
                by,
                reason,
            },
            Dropped => {
                CutoverEvent::OldTableDropped { archive_sha256: "ab".to_owned(), by, reason }
            }
        })
    }

    fn state(self) -> Cutover {
        fold(&self.events())
    }
}

fn who() -> Who {
    Who { by: "ada".to_owned(), reason: Some("the move".to_owned()) }
}

fn mapping() -> Payload {
    Payload::parse(r#"{"posting_id":"posting_id"}"#.to_owned()).unwrap()
}

fn day(number: u64) -> Timestamp {
    Timestamp::EPOCH.plus(Duration::from_secs(number * 86_400))
}

fn creation() -> CutoverCreation {
    let (table, mapping_digest) = ("public.old".to_owned(), "7f".to_owned());
    CutoverCreation { table, mapping: mapping(), mapping_digest, rows: 3 }
}

fn archive(sha256: &str) -> CutoverArchive {
    let (file_name, sha256) = ("old.csv".to_owned(), sha256.to_owned());
    CutoverArchive { file_name, sha256, rows: 3, bytes: 99 }
}

fn counts() -> BackfillCounts {
    BackfillCounts { seen: 3, imported: 2, written_back: 1, refused: 0 }
}

fn resolved(count: u64) -> Resolved {
    let (posting_id, kind) = (Some(PostingId(7)), Some("current_differs".to_owned()));
    Resolved { posting_id, kind, resolution: Resolution::FromOld, count }
}

const TIMES: ReadTimes = ReadTimes { before_us: 20, after_us: 10, sample: 5 };

type Decided = Result<Vec<CutoverEvent>, CutoverRejection>;
type Command = fn(&Cutover) -> Decided;
type Row = (&'static str, Command, Vec<Station>, Vec<Station>);

/// Every command but the way back, with what each of the stations makes of it: at the first ones it is
/// carried out, at the second ones nothing is left to be done, and at all others it is refused.
fn commands() -> Vec<Row> {
    vec![
        ("create", |it| it.create(creation(), &who()), vec![Nothing], vec![]),
        ("dual-write", |it| it.enable_dual_write(3, &who()), vec![Created], vec![]),
        (
            "begin the backfill",
            |it| it.start_backfill(3, &who()),
            vec![DualWrite],
            vec![Backfilling],
        ),
        (
            "end the backfill",
            |it| it.complete_backfill(counts(), &who()),
            vec![Backfilling],
            vec![Backfilled],
        ),
        (
            "validate, which passes",
            |it| it.complete_validation(3, 0, &who()),
            vec![DualWrite, Backfilling, Backfilled],
            vec![Validated, Switched],
        ),
        (
            "validate, which finds something",
            |it| it.complete_validation(3, 1, &who()),
            vec![DualWrite, Backfilling, Backfilled, Validated, Switched],
            vec![],
        ),
        (
            "resolve",
            |it| it.resolve(resolved(1), &who()),
            vec![DualWrite, Backfilling, Backfilled, Validated, Switched],
            vec![],
        ),
        (
            "resolve nothing",
            |it| it.resolve(resolved(0), &who()),
            vec![],
            vec![DualWrite, Backfilling, Backfilled, Validated, Switched],
        ),
        ("switch reads", |it| it.switch_reads(0, TIMES, &who()), vec![Validated], vec![]),
        (
            "switch reads in spite of a discrepancy",
            |it| it.switch_reads(1, TIMES, &who()),
            vec![],
            vec![],
        ),
        ("deprecate", |it| it.deprecate(0, 3, day(0), &who()), vec![Switched], vec![]),
        (
            "deprecate in spite of a discrepancy",
            |it| it.deprecate(1, 3, day(0), &who()),
            vec![],
            vec![],
        ),
        (
            "archive",
            |it| it.record_archive(archive("ab"), &who()),
            vec![Deprecated],
            vec![Archived],
        ),
        (
            "archive once more",
            |it| it.record_archive(archive("cd"), &who()),
            vec![Deprecated, Archived],
            vec![],
        ),
        ("drop", |it| it.drop_old_table("ab", day(60), &who()), vec![Archived], vec![]),
        ("drop too early", |it| it.drop_old_table("ab", day(59), &who()), vec![], vec![]),
        ("drop by another file", |it| it.drop_old_table("cd", day(60), &who()), vec![], vec![]),
    ]
}

#[test]
fn each_command_is_carried_out_where_it_is_its_turn_and_nowhere_else() {
    for (name, decide, is_done, is_nothing) in commands() {
        for station in STATIONS {
            let decided = decide(&station.state());
            let expected = (is_done.contains(&station), is_nothing.contains(&station));
            let found = match &decided {
                Ok(events) => (!events.is_empty(), events.is_empty()),
                Err(_) => (false, false),
            };
            assert_eq!(found, expected, "{name} at {station:?}: {decided:?}");
        }
    }
}

#[test]
fn who_is_out_of_order_is_told_the_phase_and_the_command_whose_turn_it_is() {
    use CutoverPhase as Phase;
    let phases = [
        (Nothing, Phase::None, Some(CutoverStep::Create)),
        (Created, Phase::Created, Some(CutoverStep::DualWrite)),
        (DualWrite, Phase::DualWrite, Some(CutoverStep::Backfill)),
        (Backfilling, Phase::DualWrite, Some(CutoverStep::Backfill)),
        (Backfilled, Phase::DualWrite, Some(CutoverStep::Validate)),
        (Validated, Phase::Validated, Some(CutoverStep::SwitchReads)),
        (Switched, Phase::ReadsSwitched, Some(CutoverStep::Deprecate)),
        (Deprecated, Phase::Deprecated, Some(CutoverStep::Archive)),
        (Archived, Phase::Deprecated, Some(CutoverStep::Drop)),
    ];
    for (station, phase, next) in phases {
        assert_eq!((station.state().phase(), station.state().next()), (phase, next));
        for (name, decide, ..) in commands() {
            match decide(&station.state()) {
                Err(CutoverRejection::OutOfOrder { phase: told, needed, next: told_next }) => {
                    assert_eq!((told, told_next), (phase, next), "{name} at {station:?}");
                    assert_ne!(needed, phase, "{name} at {station:?}");
                }
                Err(other) => assert_ne!(other, CutoverRejection::Over, "{name} at {station:?}"),
                Ok(_) => {}
            }
        }
    }
    let refused = Created.state().deprecate(0, 3, day(0), &who()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the cutover is in phase `created`, and this is done in phase `reads-switched`"
    );
}

#[test]
fn what_is_over_is_over_for_every_command() {
    assert_eq!(Dropped.state().next(), None);
    for (name, decide, ..) in commands() {
        assert_eq!(decide(&Dropped.state()), Err(CutoverRejection::Over), "{name}");
    }
    for to in CutoverPhase::ALL {
        let refused = Dropped.state().roll_back(to, 0, &who());
        assert_eq!(refused, Err(CutoverRejection::Over), "{to}");
    }
}

#[test]
fn the_old_table_is_dropped_after_sixty_days_and_by_its_archive_only() {
    let drop = |sha256: &'static str, at: Timestamp| {
        move |it: &Cutover| it.drop_old_table(sha256, at, &who())
    };
    given::<Cutover>(Deprecated.events())
        .when(drop("ab", day(61)))
        .then_rejected(CutoverRejection::NotArchived);
    let early = Timestamp::from_micros(day(60).as_micros() - 1);
    given::<Cutover>(Archived.events())
        .when(drop("ab", early))
        .then_rejected(CutoverRejection::TooEarly { until: day(60) });
    let (recorded, found) = ("ab".to_owned(), "cd".to_owned());
    given::<Cutover>(Archived.events())
        .when(drop("cd", day(60)))
        .then_rejected(CutoverRejection::OtherArchive { recorded, found });
    given::<Cutover>(Archived.events())
        .when(drop("ab", day(60)))
        .then(Dropped.last())
        .then_again_rejected(CutoverRejection::Over);
    // a table that is taken out of use anew is archived anew
    let Who { by, reason } = who();
    let back = CutoverEvent::CutoverRolledBack { from: 5, to: 4, written_back: 0, by, reason };
    let anew = [Archived.events(), vec![back], Vec::from_iter(Deprecated.last())].concat();
    given::<Cutover>(anew).when(drop("ab", day(90))).then_rejected(CutoverRejection::NotArchived);
}

#[test]
fn another_operator_who_is_faster_is_noticed() {
    given::<Cutover>(Created.events())
        .when(|it: &Cutover| it.enable_dual_write(3, &who()))
        .another_writer_appends(DualWrite.last())
        .then_rejected(CutoverRejection::OutOfOrder {
            phase: CutoverPhase::DualWrite,
            needed: CutoverPhase::Created,
            next: Some(CutoverStep::Backfill),
        });
}

#[test]
fn phases_have_names_and_numbers_that_are_read_again() {
    for (phase, number) in CutoverPhase::ALL.into_iter().zip(0..) {
        assert_eq!((phase.number(), CutoverPhase::of_number(number)), (number, Some(phase)));
        assert_eq!(phase.to_string().parse(), Ok(phase));
        assert_eq!(serde_json::to_value(phase).unwrap(), phase.name());
        assert_eq!(phase.before(), number.checked_sub(1).and_then(CutoverPhase::of_number));
    }
    assert_eq!(CutoverPhase::of_number(6), None);
    let error = "created ".parse::<CutoverPhase>().unwrap_err().to_string();
    assert!(error.contains("`created `") && error.contains("reads-switched"), "{error}");
}

#[test]
fn every_event_says_who_and_why() {
    for station in STATIONS {
        for event in station.events() {
            assert_eq!(event.who(), ("ada", Some("the move")));
        }
    }
}
