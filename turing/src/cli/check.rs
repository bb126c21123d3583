//! `turing check`: whether a definition makes sense, and what its graph looks like.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use turing_domain::Severity;

use super::output::Output;
use super::place::folder_of;
use super::postings::Seen;
use super::run_name::RunName;
use super::telling::tell;
use super::{Failure, Verdict};
use crate::definition::{DefinitionError, Draft, Finding, definition_of};
use crate::graph::{dot, mermaid};
use crate::postings::PostingSource;
use crate::store::{Access, Store, StoreUrl};

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The workflow definition, a TOML file.
    #[arg(value_name = "FILE", required_unless_present = "run", conflicts_with = "run")]
    workflow: Option<PathBuf>,
    /// The definition of this run instead, as the store has it; the run's id, or the beginning of it.
    #[arg(long, value_name = "RUN")]
    run: Option<RunName>,
    /// Where the scripts of the definition in the store are [default: the folder of its file]
    #[arg(long, value_name = "DIR", requires = "run")]
    folder: Option<PathBuf>,
    /// Where the run is: sqlite:PATH or postgres://USER@HOST:PORT/DATABASE [default: sqlite:turing.db]
    // a text here, because the parser repeats what it refuses, and an address may hold a password
    #[arg(long, value_name = "URL", env = "TURING_STORE", hide_env_values = true)]
    store: Option<String>,
    /// Judge placeholders by the data of these postings: a .json, .jsonl, .ndjson, .txt or .md file,
    /// a folder of them, or - for JSON lines on standard input.
    #[arg(long, value_name = "PATH")]
    postings: Option<PathBuf>,
    /// Print the findings as JSON.
    #[arg(long, conflicts_with = "graph")]
    json: bool,
    /// Print the workflow as a graph; the findings go to standard error.
    #[arg(long, value_enum, value_name = "FORMAT")]
    graph: Option<GraphFormat>,
}

/// What a graph is written for.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum GraphFormat {
    /// A Mermaid flowchart.
    Mermaid,
    /// A Graphviz graph.
    Dot,
}

pub(super) async fn execute(args: &CheckArgs, output: &mut Output) -> Result<Verdict, Failure> {
    let draft = match &args.run {
        Some(run) => Box::pin(of_run(args, run)).await?,
        None => match Draft::read(args.workflow.as_deref().unwrap_or("".as_ref())) {
            Ok(draft) => draft,
            Err(DefinitionError::Malformed { findings, .. }) if args.graph.is_none() => {
                tell_findings(&findings, args.json, output);
                return Ok(Verdict::Wrong);
            }
            Err(error) => return Err(error.into()),
        },
    };
    let mut findings = draft.findings.clone();
    if let Some(postings) = &args.postings {
        let postings = PostingSource::named(postings)?;
        findings.extend(draft.check_data(Seen::of(&postings, |_| {})?.keys()?));
        Finding::sort(&mut findings);
    }
    match args.graph {
        Some(format) => {
            output.text(match format {
                GraphFormat::Mermaid => mermaid(&draft.workflow),
                GraphFormat::Dot => dot(&draft.workflow),
            });
            findings.iter().for_each(tell);
        }
        None => tell_findings(&findings, args.json, output),
    }
    let has_errors = findings.iter().any(|finding| finding.severity == Severity::Error);
    Ok(if has_errors { Verdict::Found } else { Verdict::Well })
}

/// The definition of a run as the store has it.
async fn of_run(args: &CheckArgs, run: &RunName) -> Result<Draft, Failure> {
    let url: StoreUrl = args.store.as_deref().unwrap_or("sqlite:turing.db").parse()?;
    let store = Store::open(&url, Access::Read).await?;
    let found = async {
        let run_id = run.find(&store).await?;
        Ok::<_, Failure>(definition_of(&store, Some(run_id)).await?.recorded)
    };
    let found = found.await;
    store.close().await;
    let recorded = found?;
    let folder = folder_of(&args.folder, &recorded)?;
    Ok(Draft::of_recorded(&recorded, folder)?)
}

fn tell_findings(findings: &[Finding], json: bool, output: &mut Output) {
    if json {
        return output.json(&findings);
    }
    for finding in findings {
        output.line(finding);
    }
    output.line(summary(findings));
}

/// How many findings there are, such as `2 errors, 1 warning`.
pub(super) fn summary(findings: &[Finding]) -> String {
    let count = |severity: Severity| {
        let count = findings.iter().filter(|finding| finding.severity == severity).count();
        format!("{count} {severity}{}", if count == 1 { "" } else { "s" })
    };
    format!("{}, {}", count(Severity::Error), count(Severity::Warning))
}
