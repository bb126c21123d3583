//! `turing projection rebuild` and `switch`.

use std::time::Duration;

use es_core::execution::Difference;
use es_core::projection::{Rebuild, RebuildError, RowDifference, Watch};
use futures_util::TryStreamExt;
use serde_json::{Value, json};
use turing_domain::PostingId;

use super::super::output::{Output, shown};
use super::super::telling::tell_progress;
use super::super::{Failure, Verdict};
use super::{Name, OneArgs, RebuildArgs};
use crate::proposal::command;
use crate::read_models::{rebuild, rebuild_in_database, rebuild_one_in_database, repair_posting};
use crate::store::Store;

/// So many differing rows are printed, so many places of each, and so much of a value.
const SHOWN: usize = 20;
const PLACES: usize = 3;
const LONGEST: usize = 300;

/// So much of two values is printed before they part.
const BEFORE: usize = 60;

pub(super) async fn execute(
    store: &Store,
    args: &RebuildArgs,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let name = args.name.as_str();
    if args.posting.is_some() {
        let what = format!("--posting is for posting_state; the rows of {name} are no postings'");
        return Err(Failure::Usage { what });
    }
    if let (Name::PostingState, Some(database)) = (args.name, store.database()) {
        let wrong = rebuild_in_database(database).await?;
        match args.common.json {
            true => output.json(&json!({ "read_model": name, "mended": wrong })),
            false => output.line(format_args!("{name} is rebuilt; rows that were wrong: {wrong}")),
        }
        return Ok(Verdict::Well);
    }
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let processors = u32::try_from(processors).unwrap_or(1);
    let slices = args.slices.unwrap_or(processors);
    let mut rebuild = rebuild(store, args.name.definition(store)?, slices);
    fill(&mut rebuild, name).await?;
    let differing: Vec<RowDifference> = rebuild.differences().try_collect().await?;
    if args.switch {
        rebuild.switch().await?;
    } else {
        rebuild.release().await;
    }
    if args.common.json {
        let rows: Vec<_> = differing.iter().map(as_json).collect();
        output.json(&json!({ "read_model": name, "switched": args.switch, "differing": rows }));
        return Ok(Verdict::Well);
    }
    differing.iter().take(SHOWN).for_each(|row| tell(row, output));
    let more = differing.len().saturating_sub(SHOWN);
    if more > 0 {
        output.line(format_args!("  and {more} more; --json prints all"));
    }
    let count = differing.len();
    output.line(match args.switch {
        true => format!("{name} is rebuilt and served; {count} rows differ from what was served"),
        false => format!(
            "{name} is rebuilt; {count} rows differ from what is served\nto serve it: {}",
            command(format_args!("projection switch {name}"))
        ),
    });
    Ok(Verdict::Well)
}

/// Where a row differs, from what to what.
fn tell(row: &RowDifference, output: &mut Output) {
    output.line(format_args!("  {}", shown(&row.key, 80)));
    let (places, missing) = match (&row.old, &row.new) {
        (Some(old), Some(new)) => (es_core::execution::differences(old, new), "nothing"),
        (old, new) => {
            let (path, old, new) = (String::new(), old.clone(), new.clone());
            (vec![Difference { path, old, new }], "no row")
        }
    };
    for Difference { path, old, new } in places.iter().take(PLACES) {
        if !path.is_empty() {
            output.line(format_args!("    {}", shown(path, LONGEST)));
        }
        let [old, new] = [old, new]
            .map(|value| value.as_ref().map_or_else(|| missing.to_owned(), ToString::to_string));
        let [old, new] = where_they_part(&old, &new);
        output.line(format_args!("    - {old}"));
        output.line(format_args!("    + {new}"));
    }
    let more = places.len().saturating_sub(PLACES);
    if more > 0 {
        output.line(format_args!("    and {more} more places"));
    }
}

/// Two texts from shortly before the place at which they part, so that neither is cut off before it.
fn where_they_part(old: &str, new: &str) -> [String; 2] {
    let same = old.chars().zip(new.chars()).take_while(|(old, new)| old == new).count();
    [old, new].map(|text| match same.saturating_sub(BEFORE) {
        0 => shown(text, LONGEST),
        left_out => {
            let rest: String = text.chars().skip(left_out).collect();
            format!("…{}", shown(&rest, LONGEST))
        }
    })
}

fn as_json(difference: &RowDifference) -> Value {
    let value = |payload: &Option<es_core::event::Payload>| {
        payload.as_ref().and_then(|payload| payload.decode::<Value>().ok())
    };
    json!({
        "key": difference.key,
        "served": value(&difference.old),
        "rebuilt": value(&difference.new),
    })
}

/// Fills the shadow, and tells once a second how far it is.
async fn fill(rebuild: &mut Rebuild, name: &str) -> Result<(), RebuildError> {
    let watch = rebuild.watch();
    let filling = rebuild.fill();
    tokio::pin!(filling);
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.tick().await;
    loop {
        tokio::select! {
            done = &mut filling => return done,
            _ = ticks.tick() => tell_progress(progress(&watch, name)),
        }
    }
}

fn progress(watch: &Watch, name: &str) -> String {
    let now = watch.progress();
    let left = now
        .remaining
        .map_or_else(String::new, |left| format!(", {:.0} s left", left.as_secs_f64()));
    format!(
        "{name}: {} of about {} events, {:.0} a second{left}",
        now.events, now.estimated_total, now.rate
    )
}

pub(super) async fn switch(
    store: &Store,
    args: &OneArgs,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let name = args.name.as_str();
    let status = args.name.subscription(store)?.status().await?;
    if status.is_none_or(|status| status.shadow.is_none()) {
        let rebuild = command(format_args!("projection rebuild {name}"));
        let what = format!("{name} has no rebuilt model; make one: {rebuild}");
        return Err(Failure::NotFound { what });
    }
    rebuild(store, args.name.definition(store)?, 1).switch().await?;
    match args.common.json {
        true => output.json(&json!({ "read_model": name, "switched": true })),
        false => output.line(format_args!("the rebuilt {name} is served")),
    }
    Ok(Verdict::Well)
}

pub(super) async fn one_posting(
    store: &Store,
    posting: PostingId,
    json: bool,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    if let Some(database) = store.database() {
        rebuild_one_in_database(database, posting).await?;
        match json {
            true => output.json(&json!({ "posting_id": posting, "rebuilt": true })),
            false => output.line(format_args!("the row of posting {posting} is rebuilt")),
        }
        return Ok(Verdict::Well);
    }
    let changed = repair_posting(store, posting).await?;
    match json {
        true => output.json(&json!({ "posting_id": posting, "changed": changed })),
        false => output.line(match changed {
            true => format!("the row of posting {posting} was wrong and is mended"),
            false => format!("the row of posting {posting} was right"),
        }),
    }
    Ok(Verdict::Well)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_texts_are_shown_where_they_part_however_far_that_is() {
        let long = "é".repeat(10_000);
        let [old, new] = where_they_part(&format!("{long}old"), &format!("{long}new, and more"));
        let before = "é".repeat(BEFORE);
        assert_eq!(old, format!("…{before}old"));
        assert_eq!(new, format!("…{before}new, and more"));
        // what follows is cut off
        let [old, new] = where_they_part(&format!("1{long}"), &format!("2{long}"));
        assert_eq!(old, format!("1{}…", "é".repeat(LONGEST - 1)));
        assert_eq!(new, format!("2{}…", "é".repeat(LONGEST - 1)));
        // one is the beginning of the other
        let [old, new] = where_they_part(&long, &format!("{long}!"));
        assert_eq!((old, new), (format!("…{before}"), format!("…{before}!")));
        assert_eq!(where_they_part("nothing", "7"), ["nothing", "7"]);
    }
}
