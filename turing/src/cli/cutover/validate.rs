//! `turing cutover validate`: rounds of comparisons, and which side counts.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;
use turing_domain::{CutoverPhase, CutoverStep};

use super::super::interrupts::Interrupts;
use super::super::output::{Output, counted, shown};
use super::super::{Failure, Verdict};
use super::ValidateArgs;
use super::progress::Going;
use crate::cutover::{CutoverError, Discrepancy, Mover, OpenKind, Round, Settled, command_of};
use crate::proposal::{command, quoted};

/// How much of a value is shown.
const LONGEST: usize = 200;

/// How many of those that are not resolved are told.
const REFUSALS: usize = 20;

pub(super) async fn execute(
    mover: &Mover,
    args: &ValidateArgs,
    interrupts: &Interrupts,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let mut going = Going::new(interrupts)?;
    if let Some(seconds) = args.watch {
        let pause = Duration::from_secs(seconds);
        let mut going = going.of_rounds();
        return watch(mover, args.step.common.json, pause, &mut going, output).await;
    }
    let settled = match args.resolving() {
        Some(resolving) => Some(mover.resolve(&resolving).await?),
        None => None,
    };
    let round = mover.validate(|progress| going.go_on(progress)).await?;
    if !round.is_complete {
        return Err(CutoverError::Stopped.into());
    }
    if args.step.common.json {
        let mut shown = as_json(&round);
        if let Some(settled) = &settled {
            shown["resolved"] = json!(settled);
        }
        output.json(&shown);
    } else {
        settled.iter().for_each(|settled| tell_settled(settled, output));
        tell(&round, output);
    }
    Ok(verdict(&round))
}

/// Goes on until interrupted, and prints what changes.
async fn watch(
    mover: &Mover,
    json: bool,
    pause: Duration,
    going: &mut Going,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let mut last: Option<Round> = None;
    loop {
        going.begin();
        let round = mover.validate(|progress| going.go_on(progress)).await?;
        if !round.is_complete {
            break;
        }
        if last.as_ref().is_none_or(|last| differ(last, &round)) {
            match json {
                true => output.json_line(&as_json(&round)),
                false => tell(&round, output),
            }
            output.flush();
        }
        last = Some(round);
        if output.is_over() {
            break;
        }
        tokio::select! {
            () = sleep(pause) => {}
            _ = going.heard.changed() => {}
        }
        if going.is_over() {
            break;
        }
    }
    Ok(last.as_ref().map_or(Verdict::Stopped, verdict))
}

/// Whether a round has found something else than the one before. How often something was seen is no news.
fn differ(before: &Round, now: &Round) -> bool {
    let found = |round: &Round| {
        let kinds = round.kinds.iter().map(|kind| (kind.kind.clone(), kind.count));
        (round.phase, kinds.collect::<Vec<_>>())
    };
    found(before) != found(now)
}

fn verdict(round: &Round) -> Verdict {
    if round.open > 0 { Verdict::Found } else { Verdict::Well }
}

/// The command behind this round.
fn next(round: &Round) -> String {
    command_of(match round.phase {
        _ if round.open > 0 => CutoverStep::Validate,
        CutoverPhase::Validated => CutoverStep::SwitchReads,
        CutoverPhase::ReadsSwitched => CutoverStep::Deprecate,
        // a round that finds nothing ends that phase as soon as all is imported
        _ => CutoverStep::Backfill,
    })
}

fn as_json(round: &Round) -> Value {
    let mut shown = json!(round);
    for (kind, listed) in
        round.kinds.iter().zip(shown["kinds"].as_array_mut().into_iter().flatten())
    {
        listed["cure"] = cure(&kind.kind).into();
    }
    shown["next"] = next(round).into();
    shown
}

fn tell_settled(settled: &Settled, output: &mut Output) {
    let count = usize::try_from(settled.count).unwrap_or(usize::MAX);
    output.line(format_args!("resolved: {}", discrepancies(count)));
    if settled.refused.is_empty() {
        return;
    }
    output.line(format_args!("not resolved: {}", discrepancies(settled.refused.len())));
    for one in settled.refused.iter().take(REFUSALS) {
        output.line(format_args!(
            "  posting {} {}: {}",
            one.posting_id,
            shown(&one.kind, 80),
            shown(&one.reason, 1_000)
        ));
    }
    let rest = settled.refused.len().saturating_sub(REFUSALS);
    if rest > 0 {
        output.line(format_args!("  and {rest} more, which --json tells"));
    }
}

fn discrepancies(count: usize) -> String {
    match count {
        1 => "1 discrepancy".to_owned(),
        count => format!("{count} discrepancies"),
    }
}

fn tell(round: &Round, output: &mut Output) {
    let seen = usize::try_from(round.seen).unwrap_or(usize::MAX);
    let open = usize::try_from(round.open).unwrap_or(usize::MAX);
    output.line(format_args!(
        "{} compared, {} open, in phase `{}`",
        counted(seen, "posting"),
        discrepancies(open),
        round.phase
    ));
    round.kinds.iter().for_each(|kind| tell_kind(kind, output));
    if round.open == 0 {
        output.line(format_args!("next: {}", next(round)));
    }
}

fn tell_kind(kind: &OpenKind, output: &mut Output) {
    output.line(format_args!("{}: {}", shown(&kind.kind, 80), kind.count));
    for one in &kind.examples {
        let before = one.accepted_before.as_deref().map_or_else(String::new, |why| {
            format!("; accepted as it was before: {}", shown(why, LONGEST))
        });
        output.line(format_args!(
            "  {}; since {}, {}{before}",
            what(&kind.kind, one),
            one.first_seen,
            seen(one.sightings)
        ));
    }
    output.line(format_args!("  cure: {}", cure(&kind.kind)));
}

/// What a discrepancy of this kind is about, and in what both sides differ.
fn what(kind: &str, one: &Discrepancy) -> String {
    let [old, new] = [&one.old, &one.new].map(|value| {
        value.as_deref().map_or_else(|| "nothing".to_owned(), |it| shown(it, LONGEST))
    });
    let posting = match (one.posting_id, &one.old) {
        (Some(id), _) => format!("posting {id}"),
        // its key is no posting's id
        (None, Some(_)) => format!("row {old}"),
        (None, None) => "some row".to_owned(),
    };
    match kind {
        "row_unreadable" => format!("{posting}: cannot be read: {new}"),
        "import_refused" => format!("{posting}: was not taken over: {new}"),
        _ => {
            let field = one.field.as_deref().map_or_else(String::new, |field| format!(" {field}"));
            let about = shown(&format!("{posting}{field}"), LONGEST);
            format!("{about}: the old table has {old}, the events {new}")
        }
    }
}

/// In how many rounds it was seen.
fn seen(rounds: u32) -> String {
    match rounds {
        1 => "seen once".to_owned(),
        rounds => format!("seen {rounds} times"),
    }
}

/// How discrepancies of this kind are resolved.
fn cure(kind: &str) -> String {
    let resolve = |side: &str| {
        let kind = quoted(kind);
        command(format_args!("cutover validate --resolve {side} --kind {kind} --reason TEXT"))
    };
    match kind {
        "row_unreadable" => format!(
            "correct the row in the old table, which is imported then; or if it shall stay as it is: {}",
            resolve("accept")
        ),
        "posting_missing" | "event_missing" => format!("import the row: {}", resolve("from-old")),
        "old_row_missing" => format!("write the row: {}", resolve("from-events")),
        "counter_differs" => format!("write the counter: {}", resolve("from-events")),
        "import_refused" => {
            format!("mend what it was refused for, and import it: {}", resolve("from-old"))
        }
        _ => format!(
            "if the old table is right: {}; if the events are: {}",
            resolve("from-old"),
            resolve("from-events")
        ),
    }
}
