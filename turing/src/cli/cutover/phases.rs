//! The phases of `turing cutover` that begin in a moment, and the way back.

use serde_json::json;
use turing_domain::{CutoverPhase, CutoverStep};

use super::super::interrupts::Interrupts;
use super::super::output::Output;
use super::super::telling::tell;
use super::super::{Failure, Verdict};
use super::plan::line;
use super::progress::Going;
use super::{DeprecateArgs, RollbackArgs, many};
use crate::cutover::{MappingFile, Mover, command_of};
use crate::proposal::command;

pub(super) async fn create(
    mover: &Mover,
    mapping: &MappingFile,
    json: bool,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let rows = mover.create(mapping).await?;
    let warnings = mover.warnings().await?;
    let (phase, table) = (CutoverPhase::Created, mapping.mapping.old_table());
    if json {
        output.json(&json!({
            "phase": phase,
            "table": table,
            "rows": rows,
            "warnings": warnings,
        }));
        return Ok(Verdict::Well);
    }
    warnings.iter().for_each(|warning| tell(line(warning)));
    output.line(format_args!(
        "the cutover of {table} is created, which has {}; nothing is written to it yet",
        rows_of(rows)
    ));
    output.line(format_args!("next: {}", command_of(CutoverStep::DualWrite)));
    Ok(Verdict::Well)
}

pub(super) async fn dual_write(
    mover: &Mover,
    json: bool,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let rows = mover.enable_dual_write().await?;
    if json {
        output.json(&json!({ "phase": CutoverPhase::DualWrite, "rows": rows }));
    } else {
        output.line(format_args!(
            "both sides are written from now on: what is written to the old table, which has {}, \
             becomes events, and events are written to it",
            rows_of(rows)
        ));
        output.line(format_args!("next: {}", command_of(CutoverStep::Backfill)));
    }
    Ok(Verdict::Well)
}

pub(super) async fn switch_reads(
    mover: &Mover,
    json: bool,
    interrupts: &Interrupts,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let mut going = Going::new(interrupts)?;
    let done = mover.switch_reads(|progress| going.go_on(progress)).await?;
    if json {
        output.json(&json!({
            "phase": CutoverPhase::ReadsSwitched,
            "seen": done.round.seen,
            "before_us": done.before_us,
            "after_us": done.after_us,
            "sample": done.sample,
        }));
    } else {
        output.line(format_args!(
            "{} compared, and none differs; under the old name stands what the events say",
            with_verb(done.round.seen, "posting", ["was", "were"])
        ));
        output.line(format_args!(
            "reading one posting by it took {} µs before and takes {} µs now (the median of {})",
            done.before_us, done.after_us, done.sample
        ));
        output.line(format_args!("next: {}", command_of(CutoverStep::Deprecate)));
    }
    Ok(Verdict::Well)
}

pub(super) async fn deprecate(
    mover: &Mover,
    args: &DeprecateArgs,
    interrupts: &Interrupts,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let json = args.step.common.json;
    if let (true, Some(archive), Some(confirm)) = (args.drop, &args.archive, &args.confirm) {
        mover.drop_old_table(confirm, archive).await?;
        if json {
            output.json(&json!({ "phase": CutoverPhase::Deprecated, "dropped": confirm }));
        } else {
            output.line(format_args!(
                "{confirm} is dropped; what it had is in {}",
                archive.display()
            ));
        }
        return Ok(Verdict::Well);
    }
    let status = mover.status().await?;
    let is_to_be_taken = args.archive.is_none() || status.phase != CutoverPhase::Deprecated;
    let rows = match is_to_be_taken {
        true => {
            let mut going = Going::new(interrupts)?;
            Some(mover.deprecate(|progress| going.go_on(progress)).await?)
        }
        false => None,
    };
    let archive = match &args.archive {
        Some(file) => Some((file, mover.archive(file).await?)),
        None => None,
    };
    if json {
        output.json(&json!({
            "phase": CutoverPhase::Deprecated,
            "rows": rows,
            "archive": archive.as_ref().map(|(_, archive)| archive),
        }));
        return Ok(Verdict::Well);
    }
    if let Some(rows) = rows {
        output.line(format_args!("the old table is out of use, with {}", rows_of(rows)));
    }
    match &archive {
        Some((file, archive)) => output.line(format_args!(
            "{} in {}, {}, SHA-256 {}; keep it, and in 60 days the table may be dropped",
            with_verb(archive.rows, "row", ["is", "are"]),
            file.display(),
            many(archive.bytes, "byte"),
            archive.sha256
        )),
        None => output.line(format_args!("next: {}", command_of(CutoverStep::Archive))),
    }
    Ok(Verdict::Well)
}

pub(super) async fn roll_back(
    mover: &Mover,
    args: &RollbackArgs,
    interrupts: &Interrupts,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let mut going = Going::new(interrupts)?;
    let went = mover.roll_back(args.to, |progress| going.go_on(progress)).await?;
    if args.step.common.json {
        output.json(&json!({ "phase": went.last().map(|last| last.to), "went_back": went }));
        return Ok(Verdict::Well);
    }
    for one in &went {
        let written = match one.written_back {
            0 => String::new(),
            count => format!(
                "; {} written to the old table",
                with_verb(count, "posting", ["was", "were"])
            ),
        };
        output.line(format_args!("from `{}` back to `{}`{written}", one.from, one.to));
    }
    output.line(format_args!("how far it is: {}", command("cutover status")));
    Ok(Verdict::Well)
}

/// So many rows.
fn rows_of(count: u64) -> String {
    many(count, "row")
}

/// So many of something, with the verb for one or for more.
fn with_verb(count: u64, what: &str, [one, more]: [&str; 2]) -> String {
    format!("{} {}", many(count, what), if count == 1 { one } else { more })
}
