//! `turing demo`: the bundled example, through the same path as `turing run`.

use std::path::Path;

use super::interrupts::Interrupts;
use super::output::Output;
use super::postings::tell_refused;
use super::report::tell_done;
use super::run::run_in;
use super::telling::tell_times;
use super::{DemoArgs, Failure, Verdict, exit_code};
use crate::definition::Definition;
use crate::demo::{DEFINITION, POSTINGS, write_to};
use crate::postings::PostingSource;
use crate::run::{RunOutcome, take_in};
use crate::store::{Access, Store, StoreUrl, postgres};

pub(super) async fn execute(
    args: DemoArgs,
    interrupts: &Interrupts,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    tell_times();
    interrupts.before()?;
    let DemoArgs { common, files, how } = args;
    how.pace.snapshot_interval()?;
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

    let url = common.store()?;
    let definition = Definition::load(&folder.join(DEFINITION))?;
    // it is there to be tried out: no other command makes a store in somebody's database
    if let StoreUrl::Postgres(url) = &url {
        postgres::migrate_if_empty(url).await?;
    }
    let store = Store::open(&url, Access::Write).await?;
    let postings = PostingSource::Path(folder.join(POSTINGS));
    let mut example = None;
    let done = async {
        let lock = store.lock_run(definition.workflow.id).await?;
        let mut intake = take_in(&*store.postings, &postings).await?;
        let prefix = format!("{}/", folder.display());
        for refused in &mut intake.refused {
            refused.source_name = refused.source_name.replace(&prefix, "");
        }
        intake.refused.iter().for_each(tell_refused);
        example = intake.postings.keys().next().copied();
        let done = run_in(&store, &url, &lock, &definition, intake, how, interrupts).await?;
        tell_done(&store, &done, &definition.workflow, &common, output).await;
        // some postings are broken on purpose: only what stayed open is a finding
        let is_open = matches!(&done.outcome, RunOutcome::Stopped(_));
        Ok::<_, Failure>(if is_open { Verdict::Stopped } else { Verdict::Well })
    };
    let done = done.await;
    interrupts.over(exit_code(&done));
    store.close().await;
    let verdict = done?;
    if let (false, Some(posting), true) = (common.json, example, url != StoreUrl::Memory) {
        let name = std::env::args().next().unwrap_or_else(|| "turing".to_owned());
        output.line("\nLook closer:");
        for what in [
            "runs".to_owned(),
            format!("events posting {posting}"),
            format!("state posting {posting}"),
        ] {
            output.line(format_args!("  {name} {what} --store {}", url.in_shell()));
        }
    }
    Ok(verdict)
}
