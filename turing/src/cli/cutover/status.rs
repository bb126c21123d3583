//! `turing cutover status`.

use super::super::output::{Output, rows, shown, table};
use super::super::{Failure, Verdict};
use super::many;
use crate::cutover::{CutoverStatus, Mover, Taken};

/// How much of a reason is shown.
const LONGEST: usize = 200;

pub(super) async fn execute(
    mover: &Mover,
    json: bool,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let status = mover.status().await?;
    match json {
        true => output.json(&status),
        false => tell(&status, output),
    }
    Ok(Verdict::Well)
}

fn tell(status: &CutoverStatus, output: &mut Output) {
    let table = status.table.as_ref().map_or_else(String::new, |table| format!(", of {table}"));
    output.line(format_args!("phase `{}`{table}", status.phase));
    if let Some(old_table) =
        status.old_table.as_ref().filter(|it| Some(*it) != status.table.as_ref())
    {
        output.line(format_args!("  the old table is called {old_table} now"));
    }
    if let Some(backfill) = &status.backfill {
        output.line(match (backfill.is_complete, backfill.total) {
            (true, _) => format!("  backfill: complete, {}", many(backfill.done, "posting")),
            (false, 0) => "  backfill: not begun".to_owned(),
            (false, total) => format!("  backfill: {} of {total} postings", backfill.done),
        });
    }
    for kind in &status.kinds {
        output.line(format_args!("  open: {} {}", kind.count, shown(&kind.kind, 80)));
    }
    if let Some(reads) = &status.reads {
        output.line(format_args!(
            "  reading one posting took {} µs before the switch and {} µs behind it, the median of {}",
            reads.before_us, reads.after_us, reads.sample
        ));
    }
    if let Some(archive) = &status.archive {
        output.line(format_args!(
            "  archive: {}, {}, SHA-256 {}",
            shown(&archive.file_name, LONGEST),
            many(archive.rows, "row"),
            archive.sha256
        ));
    }
    match (&status.kept_until, status.is_dropped) {
        (_, true) => output.line("  the old table is dropped; the cutover is over"),
        (Some(until), false) => output.line(format_args!("  kept until {until} at least")),
        (None, false) => {}
    }
    for trouble in &status.troubles {
        output.line(format_args!("  trouble: {}", shown(trouble, 2_000)));
    }
    if let Some(next) = &status.next {
        output.line(format_args!("next: {next}"));
    }
    tell_steps(&status.steps, output);
}

fn tell_steps(steps: &[Taken], output: &mut Output) {
    if steps.is_empty() {
        return;
    }
    let mut listed = table(&["#", "recorded at", "step", "by", "what"], &[0]);
    for step in steps {
        listed.add_row([
            step.version.to_string(),
            step.at.to_string(),
            step.event.clone(),
            step.by.clone(),
            what(step),
        ]);
    }
    output.line("");
    output.line(rows(&listed));
}

/// What was recorded of it, and why it was done.
fn what(step: &Taken) -> String {
    // a mapping is long, and `cutover_created` has it for who wants it
    let data = step.data.iter().filter(|(name, _)| !name.starts_with("mapping"));
    let mut what: Vec<_> = data
        .map(|(name, value)| {
            let value = value.decode::<String>().unwrap_or_else(|_| value.to_string());
            format!("{name}: {}", shown(&value, 80))
        })
        .collect();
    what.extend(step.reason.as_ref().map(|reason| format!("why: {}", shown(reason, LONGEST))));
    what.join("  ")
}
