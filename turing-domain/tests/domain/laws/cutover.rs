//! Events, commands and examples of a cutover.

use std::time::Duration;

use es_core::event::{Payload, Timestamp};
use proptest::option;
use proptest::prelude::*;
use turing_domain::{
    BackfillCounts, Cutover, CutoverArchive, CutoverCreation, CutoverEvent, CutoverPhase,
    CutoverRejection, CutoverStep, PostingId, ReadTimes, Resolution, Resolved, Who,
};

use super::shared::texts;

#[derive(Debug, Clone)]
pub(crate) enum Command {
    Create,
    DualWrite,
    StartBackfill,
    CompleteBackfill,
    Validate(u64),
    Resolve(u64),
    SwitchReads(u64),
    Deprecate(u64, Timestamp),
    Archive(String),
    Drop(String, Timestamp),
    RollBack(CutoverPhase),
}

fn who() -> Who {
    Who { by: "ada".to_owned(), reason: None }
}

fn mapping() -> Payload {
    let text = r#"{"posting_id":"posting_id","steps":{"extract":9144},"table":"old"}"#;
    Payload::parse(text.to_owned()).expect("it is JSON")
}

fn day(number: u64) -> Timestamp {
    Timestamp::EPOCH.plus(Duration::from_secs(number * 86_400))
}

pub(crate) fn decide(
    cutover: &Cutover,
    command: &Command,
) -> Result<Vec<CutoverEvent>, CutoverRejection> {
    let who = &who();
    match command {
        Command::Create => {
            let (table, mapping_digest) = ("public.old".to_owned(), "7f".to_owned());
            let creation = CutoverCreation { table, mapping: mapping(), mapping_digest, rows: 3 };
            cutover.create(creation, who)
        }
        Command::DualWrite => cutover.enable_dual_write(3, who),
        Command::StartBackfill => cutover.start_backfill(3, who),
        Command::CompleteBackfill => cutover.complete_backfill(BackfillCounts::default(), who),
        Command::Validate(open) => cutover.complete_validation(3, *open, who),
        Command::Resolve(count) => {
            let (posting_id, kind, resolution) = (None, None, Resolution::Accepted);
            cutover.resolve(Resolved { posting_id, kind, resolution, count: *count }, who)
        }
        Command::SwitchReads(open) => {
            let times = ReadTimes { before_us: 20, after_us: 10, sample: 5 };
            cutover.switch_reads(*open, times, who)
        }
        Command::Deprecate(open, now) => cutover.deprecate(*open, 3, *now, who),
        Command::Archive(sha256) => {
            let (file_name, sha256) = ("old.csv".to_owned(), sha256.clone());
            cutover.record_archive(CutoverArchive { file_name, sha256, rows: 3, bytes: 99 }, who)
        }
        Command::Drop(sha256, now) => cutover.drop_old_table(sha256, *now, who),
        Command::RollBack(to) => cutover.roll_back(*to, 0, who),
    }
}

fn phases() -> impl Strategy<Value = CutoverPhase> {
    prop::sample::select(CutoverPhase::ALL.to_vec())
}

fn digests() -> impl Strategy<Value = String> {
    "[ab]"
}

fn days() -> impl Strategy<Value = Timestamp> {
    (0..100_u64).prop_map(day)
}

/// Mostly the command whose turn it is, so that a series comes to its end.
pub(crate) fn commands_given(cutover: &Cutover) -> BoxedStrategy<Command> {
    let next = match cutover.next() {
        None | Some(CutoverStep::Create) => Just(Command::Create).boxed(),
        Some(CutoverStep::DualWrite) => Just(Command::DualWrite).boxed(),
        Some(CutoverStep::Backfill) => {
            prop_oneof![Just(Command::StartBackfill), Just(Command::CompleteBackfill)].boxed()
        }
        Some(CutoverStep::Validate) => Just(Command::Validate(0)).boxed(),
        Some(CutoverStep::SwitchReads) => Just(Command::SwitchReads(0)).boxed(),
        Some(CutoverStep::Deprecate) => days().prop_map(|now| Command::Deprecate(0, now)).boxed(),
        Some(CutoverStep::Archive) => digests().prop_map(Command::Archive).boxed(),
        Some(CutoverStep::Drop) => (digests(), (60..200_u64).prop_map(day))
            .prop_map(|(sha256, now)| Command::Drop(sha256, now))
            .boxed(),
    };
    prop_oneof![6 => next, 1 => any_command()].boxed()
}

fn any_command() -> BoxedStrategy<Command> {
    prop_oneof![
        Just(Command::Create),
        Just(Command::DualWrite),
        Just(Command::StartBackfill),
        Just(Command::CompleteBackfill),
        (0..3_u64).prop_map(Command::Validate),
        (0..3_u64).prop_map(Command::Resolve),
        (0..3_u64).prop_map(Command::SwitchReads),
        (0..3_u64, days()).prop_map(|(open, now)| Command::Deprecate(open, now)),
        digests().prop_map(Command::Archive),
        (digests(), days()).prop_map(|(sha256, now)| Command::Drop(sha256, now)),
        phases().prop_map(Command::RollBack),
    ]
    .boxed()
}

pub(crate) fn events() -> impl Strategy<Value = CutoverEvent> {
    let who = || (texts(), option::of(texts()));
    let created =
        (texts(), texts(), any::<u64>(), who()).prop_map(|(table, digest, rows, (by, reason))| {
            let (mapping, mapping_digest) = (mapping(), digest);
            CutoverEvent::CutoverCreated { table, mapping, mapping_digest, rows, by, reason }
        });
    let enabled = (any::<u64>(), who())
        .prop_map(|(rows, (by, reason))| CutoverEvent::DualWriteEnabled { rows, by, reason });
    let started = (any::<u64>(), who())
        .prop_map(|(total, (by, reason))| CutoverEvent::BackfillStarted { total, by, reason });
    let completed = (any::<[u64; 4]>(), who()).prop_map(
        |([seen, imported, written_back, refused], (by, reason))| CutoverEvent::BackfillCompleted {
            seen,
            imported,
            written_back,
            refused,
            by,
            reason,
        },
    );
    let validated = (any::<u64>(), prop_oneof![Just(0_u64), any::<u64>()], who()).prop_map(
        |(seen, open, (by, reason))| CutoverEvent::ValidationCompleted { seen, open, by, reason },
    );
    let resolutions =
        prop::sample::select(vec!["from-old", "from-events", "accepted", "by a coin"]);
    let postings = option::of(any::<i32>().prop_map(PostingId));
    let resolved = (postings, option::of(texts()), resolutions, any::<u64>(), who()).prop_map(
        |(posting_id, kind, resolution, count, (by, reason))| {
            let resolution = Resolution::from(resolution);
            CutoverEvent::DiscrepanciesResolved { posting_id, kind, resolution, count, by, reason }
        },
    );
    let switched = (any::<[u64; 2]>(), any::<u32>(), who()).prop_map(
        |([before_us, after_us], sample, (by, reason))| CutoverEvent::ReadsSwitched {
            before_us,
            after_us,
            sample,
            by,
            reason,
        },
    );
    let deprecated = (any::<u64>(), days(), who()).prop_map(|(rows, deprecated_at, who)| {
        let (by, reason) = who;
        CutoverEvent::OldTableDeprecated { rows, deprecated_at, by, reason }
    });
    let archived = (texts(), texts(), any::<[u64; 2]>(), who()).prop_map(
        |(file_name, sha256, [rows, bytes], (by, reason))| CutoverEvent::OldTableArchived {
            file_name,
            sha256,
            rows,
            bytes,
            by,
            reason,
        },
    );
    let dropped = (texts(), who()).prop_map(|(archive_sha256, (by, reason))| {
        CutoverEvent::OldTableDropped { archive_sha256, by, reason }
    });
    let rolled_back = (any::<u8>(), prop_oneof![0..6_u8, any::<u8>()], any::<u64>(), who())
        .prop_map(|(from, to, written_back, (by, reason))| CutoverEvent::CutoverRolledBack {
            from,
            to,
            written_back,
            by,
            reason,
        });
    prop_oneof![
        created.boxed(),
        enabled.boxed(),
        started.boxed(),
        completed.boxed(),
        validated.boxed(),
        resolved.boxed(),
        switched.boxed(),
        deprecated.boxed(),
        archived.boxed(),
        dropped.boxed(),
        rolled_back.boxed(),
    ]
}

pub(crate) fn examples() -> Vec<CutoverEvent> {
    let by = "ada".to_owned();
    let at = Timestamp::EPOCH.plus(Duration::from_millis(1_763_546_400_500));
    let sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned();
    vec![
        CutoverEvent::CutoverCreated {
            table: "public.posting_state_checkpoints".to_owned(),
            mapping: mapping(),
            mapping_digest: sha256.clone(),
            rows: 2089,
            by: by.clone(),
            reason: Some("ticket 17".to_owned()),
        },
        CutoverEvent::DualWriteEnabled { rows: 2089, by: by.clone(), reason: None },
        CutoverEvent::BackfillStarted { total: 2101, by: by.clone(), reason: None },
        CutoverEvent::BackfillCompleted {
            seen: 2101,
            imported: 2080,
            written_back: 12,
            refused: 9,
            by: by.clone(),
            reason: None,
        },
        CutoverEvent::ValidationCompleted { seen: 2101, open: 0, by: by.clone(), reason: None },
        CutoverEvent::DiscrepanciesResolved {
            posting_id: Some(PostingId(12345)),
            kind: Some("current_differs".to_owned()),
            resolution: Resolution::FromOld,
            count: 1,
            by: by.clone(),
            reason: Some("the old system was right".to_owned()),
        },
        CutoverEvent::DiscrepanciesResolved {
            posting_id: None,
            kind: None,
            resolution: Resolution::Accepted,
            count: 9,
            by: by.clone(),
            reason: Some("rows of a test".to_owned()),
        },
        CutoverEvent::ReadsSwitched {
            before_us: 412,
            after_us: 188,
            sample: 20,
            by: by.clone(),
            reason: None,
        },
        CutoverEvent::OldTableDeprecated {
            rows: 2101,
            deprecated_at: at,
            by: by.clone(),
            reason: None,
        },
        CutoverEvent::OldTableArchived {
            file_name: "posting_state_checkpoints.csv".to_owned(),
            sha256: sha256.clone(),
            rows: 2101,
            bytes: 1_048_576,
            by: by.clone(),
            reason: None,
        },
        CutoverEvent::OldTableDropped { archive_sha256: sha256, by: by.clone(), reason: None },
        CutoverEvent::CutoverRolledBack { from: 4, to: 3, written_back: 0, by, reason: None },
    ]
}
