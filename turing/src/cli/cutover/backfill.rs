//! `turing cutover backfill`.

use serde_json::json;
use turing_domain::CutoverStep;

use super::super::interrupts::Interrupts;
use super::super::output::Output;
use super::super::telling::tell;
use super::super::{Failure, Verdict};
use super::BackfillArgs;
use super::progress::Going;
use crate::cutover::{BackfillOptions, Mover, command_of};

pub(super) async fn execute(
    mover: &Mover,
    args: &BackfillArgs,
    interrupts: &Interrupts,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let options = BackfillOptions { rate: args.rate, batch: args.batch };
    let mut going = Going::new(interrupts)?;
    let done = mover.backfill(&options, |progress| going.go_on(progress)).await?;
    if args.step.common.json {
        output.json(&json!({
            "total": done.total,
            "seen": done.seen,
            "imported": done.imported,
            "written_back": done.written_back,
            "refused": done.refused,
            "is_complete": done.is_complete,
        }));
    } else {
        output.line(format_args!(
            "{} of {} postings were looked at: {} imported, {} written to the old table, {} refused",
            done.seen,
            done.total.max(done.seen),
            done.imported,
            done.written_back,
            done.refused
        ));
        if done.refused > 0 {
            let validate = command_of(CutoverStep::Validate);
            output.line(format_args!("why some were refused: {validate}"));
        }
        if done.is_complete {
            output.line(format_args!("next: {}", command_of(CutoverStep::Validate)));
        }
    }
    if !done.is_complete {
        tell("stopped; the same command goes on from there");
        return Ok(Verdict::Stopped);
    }
    Ok(if done.refused > 0 { Verdict::Found } else { Verdict::Well })
}
