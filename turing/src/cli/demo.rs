//! `turing demo`: the bundled example, through the same path as `turing run`.

use std::path::Path;
use std::process::ExitCode;

use super::output::Output;
use super::run::{run_in, tell_done};
use super::{DemoArgs, Failure};
use crate::definition::Definition;
use crate::demo::{DEFINITION, POSTINGS, write_to};
use crate::run::{RunOutcome, take_in};
use crate::store::{Access, Store, StoreUrl, postgres};

pub(super) async fn execute(args: DemoArgs, output: &mut Output) -> Result<ExitCode, Failure> {
    let DemoArgs { common, files, how } = args;
    how.snapshot_interval()?;
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
    let mut example = None;
    let done = async {
        let lock = store.lock_run(definition.workflow.id).await?;
        let mut intake = take_in(&*store.postings, &folder.join(POSTINGS)).await?;
        let prefix = format!("{}/", folder.display());
        for refused in &mut intake.refused {
            refused.source_name = refused.source_name.replace(&prefix, "");
        }
        example = intake.postings.keys().next().copied();
        let done = run_in(&store, &lock, &definition, intake, how).await?;
        tell_done(&store, &done, &definition.workflow, &common, output).await?;
        Ok::<_, Failure>(done)
    };
    let done = done.await;
    store.close().await;
    let done = done?;
    if let (false, Some(posting), true) = (common.json, example, url != StoreUrl::Memory) {
        let name = std::env::args().next().unwrap_or_else(|| "turing".to_owned());
        output.line("\nLook closer:")?;
        for what in [
            "runs".to_owned(),
            format!("events posting {posting}"),
            format!("state posting {posting}"),
        ] {
            output.line(format_args!("  {name} {what} --store {}", url.in_shell()))?;
        }
    }
    // some postings are broken on purpose: only what stayed open is a finding
    let is_open = matches!(&done.outcome, RunOutcome::Stopped(_));
    Ok(if is_open { ExitCode::from(1) } else { ExitCode::SUCCESS })
}
