//! What the commands take, and what they refuse.

use clap::Parser;

use super::super::{Cli, Command};
use super::*;

/// The commands as they are read.
fn parsed(arguments: &str) -> Result<CutoverArgs, String> {
    let words = ["turing", "cutover"].into_iter().chain(arguments.split_whitespace());
    match Cli::try_parse_from(words).map_err(|error| error.to_string())?.command {
        Command::Cutover(args) => Ok(args),
        other => panic!("{arguments}: {other:?}"),
    }
}

#[test]
fn every_command_takes_who_why_and_a_dry_run() {
    for command in [
        "create --mapping old.toml",
        "dual-write",
        "backfill",
        "validate",
        "switch-reads",
        "deprecate",
        "deprecate --archive old.csv",
        "deprecate --drop --confirm old_deprecated --archive old.csv",
        "rollback",
        "rollback --to dual-write",
    ] {
        let args =
            parsed(&format!("{command} --by ada --reason move --json --store memory:")).unwrap();
        let (by, reason) = ("ada".to_owned(), Some("move".to_owned()));
        assert_eq!(args.command.who(), Who { by, reason }, "{command}");
        assert!(args.command.common().json && !args.only_looks(), "{command}");
        assert_eq!(args.role(), Role::Owner, "{command}");
        let dry = parsed(&format!("{command} --dry-run")).unwrap();
        assert!(dry.only_looks(), "{command}");
        // who asks what would be done needs to be allowed it
        assert_eq!(dry.role(), Role::Owner, "{command}");
    }
    let status = parsed("status --json").unwrap();
    assert!(status.only_looks() && status.command.common().json);
    assert_eq!(status.role(), Role::Reader);
}

#[test]
fn what_does_not_belong_together_is_refused() {
    for wrong in [
        "",
        "create",
        "validate --resolve from-old",
        "validate --posting 7",
        "validate --kind current_differs",
        "validate --resolve coin --reason why",
        "validate --watch --resolve accept --reason why",
        "validate --watch --dry-run",
        "validate --watch 0",
        "deprecate --drop",
        "deprecate --drop --confirm old",
        "deprecate --drop --archive old.csv",
        "deprecate --confirm old",
        "rollback --to nowhere",
        "backfill --rate 0",
        "backfill --rate fast",
        "backfill --batch 0",
        "status --reason why",
    ] {
        assert!(parsed(wrong).is_err(), "{wrong}");
    }
    let told = parsed("rollback --to nowhere").unwrap_err();
    assert!(told.contains("there is no phase `nowhere`; there are none, created,"), "{told}");
    let told = parsed("backfill --rate fast").unwrap_err();
    assert!(told.contains("it takes a whole number from 1, such as 500/s"), "{told}");
}

#[test]
fn a_rate_is_told_with_its_unit_or_without() {
    let rate_of = |text: &str| match parsed(text).unwrap().command {
        CutoverCommand::Backfill(args) => (args.rate.map(NonZeroU32::get), args.batch.get()),
        other => panic!("{other:?}"),
    };
    assert_eq!(rate_of("backfill"), (None, 500));
    assert_eq!(rate_of("backfill --rate 500/s --batch 20"), (Some(500), 20));
    assert_eq!(rate_of("backfill --rate 500"), (Some(500), 500));
}

#[test]
fn what_is_resolved_is_told_by_side_posting_and_kind() {
    let of = |text: &str| match parsed(text).unwrap().command {
        CutoverCommand::Validate(args) => (args.watch, args.resolving()),
        other => panic!("{other:?}"),
    };
    assert_eq!(of("validate"), (None, None));
    assert_eq!(of("validate --watch"), (Some(10), None));
    assert_eq!(of("validate --watch 3"), (Some(3), None));
    for (side, resolution) in [
        ("from-old", Resolution::FromOld),
        ("from-events", Resolution::FromEvents),
        ("accept", Resolution::Accepted),
    ] {
        let all = format!("validate --resolve {side} --reason why");
        let expected = Resolving { posting: None, kind: None, resolution };
        assert_eq!(of(&all), (None, Some(expected.clone())));
        let (posting, kind) = (Some(PostingId(-7)), Some("current_differs".to_owned()));
        let one = format!("{all} --posting -7 --kind current_differs");
        assert_eq!(of(&one), (None, Some(Resolving { posting, kind, ..expected })));
    }
}

#[test]
fn phases_are_told_by_their_names() {
    for phase in CutoverPhase::ALL {
        match parsed(&format!("rollback --to {phase}")).unwrap().command {
            CutoverCommand::Rollback(args) => assert_eq!(args.to, Some(phase)),
            other => panic!("{other:?}"),
        }
    }
}
