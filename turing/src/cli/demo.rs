//! `turing demo`: the bundled example, through the same path as `turing run`.

use std::path::Path;

use super::arguments::DemoArgs;
use super::call::{Call, GO_ON, Work};
use super::interrupts::Interrupts;
use super::output::{Output, shown};
use super::postings::tell_refused;
use super::telling::tell_times;
use super::{Failure, Verdict};
use crate::demo::{DEFINITION, POSTINGS, others_in, write_to};
use crate::postings::PostingSource;
use crate::proposal::{command, command_on, quoted};
use crate::run::take_in;
use crate::store::{Access, Store, StoreUrl, postgres};

pub(super) async fn execute(
    args: DemoArgs,
    interrupts: &Interrupts,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let DemoArgs { files, call, how } = args;
    tell_times();
    interrupts.before()?;
    call.pace.snapshot_interval()?;
    let failed = |folder: &Path, source| Failure::DemoFiles { folder: folder.to_owned(), source };
    let temporary = match files {
        Some(_) => None,
        None => {
            let folder = tempfile::Builder::new().prefix("turing-demo-").tempdir();
            Some(folder.map_err(|source| failed(&std::env::temp_dir(), source))?)
        }
    };
    let folder = files.as_deref().or(temporary.as_ref().map(|folder| folder.path()));
    let folder = folder.unwrap_or(Path::new("."));
    let others = others_in(folder).map_err(|source| failed(folder, source))?;
    if !others.is_empty() {
        return Err(not_over(folder, &others));
    }
    write_to(folder).map_err(|source| failed(folder, source))?;

    let mut call = Call::begin(call, &folder.join(DEFINITION), interrupts)?;
    // some postings are broken on purpose
    call.is_example = true;
    if files.is_none() {
        call.again = None;
    }
    let (url, is_json, is_quiet) = (call.url.clone(), call.args.common.json, call.args.pace.quiet);
    // it is there to be tried out: no other command makes a store in somebody's database
    if let StoreUrl::Postgres(url) = &url {
        postgres::migrate_if_empty(url).await?;
    }
    let postings = PostingSource::Path(folder.join(POSTINGS));
    let mut example = None;
    let take = async |_: &Call<'_>, store: &Store| -> Result<Work, Failure> {
        let mut intake = take_in(&*store.postings, &postings).await?;
        let prefix = format!("{}/", folder.display());
        for refused in &mut intake.refused {
            refused.source_name = refused.source_name.replace(&prefix, "");
        }
        if !is_quiet {
            intake.refused.iter().for_each(tell_refused);
        }
        example = intake.postings.keys().next().copied();
        Ok(Work { intake, how, go_on: GO_ON.to_owned() })
    };
    let verdict = call.run(Access::Write, output, take).await?;
    let is_told = !is_json && !is_quiet && url != StoreUrl::Memory;
    if let (true, Some(posting)) = (is_told, example) {
        let name = std::env::args().next().unwrap_or_else(|| "turing".to_owned());
        output.line("\nLook closer:");
        for what in [
            "runs".to_owned(),
            format!("events posting {posting}"),
            format!("state posting {posting}"),
        ] {
            let proposed = command_on(&url, what);
            output.line(format_args!("  {}", proposed.replacen("turing", &quoted(&name), 1)));
        }
    }
    Ok(verdict)
}

/// Nothing is written over what somebody has there.
fn not_over(folder: &Path, others: &[&str]) -> Failure {
    let path = |name: &str| quoted(folder.join(name).display());
    let run = format!("run --workflow {} --postings {}", path(DEFINITION), path(POSTINGS));
    let what = format!(
        "{} has files that are not the demo's, or no longer: {}; they stay as they are, and nothing \
         was written; `{}` runs what is there, and a folder without them can have the demo's",
        shown(&folder.display().to_string(), 300),
        others.join(", "),
        command(run)
    );
    Failure::Usage { what }
}
