//! `turing demo`: the bundled example, through the same path as `turing run`.

use std::path::Path;

use super::arguments::DemoArgs;
use super::call::{Call, GO_ON, Work};
use super::interrupts::Interrupts;
use super::output::Output;
use super::postings::tell_refused;
use super::telling::tell_times;
use super::{Failure, Verdict};
use crate::demo::{DEFINITION, POSTINGS, write_to};
use crate::postings::PostingSource;
use crate::proposal::{command_on, quoted};
use crate::run::{RunOutcome, take_in};
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
    write_to(folder).map_err(|source| failed(folder, source))?;

    let call = Call::begin(call, &folder.join(DEFINITION), interrupts)?;
    let (url, is_json) = (call.url.clone(), call.args.common.json);
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
        intake.refused.iter().for_each(tell_refused);
        example = intake.postings.keys().next().copied();
        Ok(Work { intake, how, go_on: GO_ON.to_owned() })
    };
    // some postings are broken on purpose: only what stayed open is a finding
    let verdict = call.run(Access::Write, output, take, |done, _| match done.outcome {
        RunOutcome::Stopped(_) => Verdict::Stopped,
        RunOutcome::Finished(_) | RunOutcome::AlreadyCompleted(_) => Verdict::Well,
    });
    let verdict = verdict.await?;
    if let (false, Some(posting), true) = (is_json, example, url != StoreUrl::Memory) {
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
