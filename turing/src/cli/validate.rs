//! `turing validate`: whether what is stored agrees with its events.

use clap::Args;

use super::output::{Output, counted, shown};
use super::{Common, Failure, Verdict};
use crate::store::{Access, Store};
use crate::validate::{FindingSeverity, StoreFinding};

/// How much of a finding is shown as text, besides its repair.
const LONGEST: usize = 1_000;

/// So many findings of one kind about streams are shown one by one.
const MANY: usize = 10;

/// So many stand for all if there are more.
const EXAMPLES: usize = 3;

#[derive(Debug, Args)]
pub(super) struct ValidateArgs {
    #[command(flatten)]
    common: Common,
    /// Print every finding, also where many streams have the same; JSON has all in any case.
    #[arg(long)]
    all: bool,
}

pub(super) async fn execute(args: &ValidateArgs, output: &mut Output) -> Result<Verdict, Failure> {
    let store = Store::open(&args.common.store()?, Access::Read).await?;
    let validated = store.validate().await;
    store.close().await;
    let findings = validated?;
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let [errors, warnings] = [FindingSeverity::Error, FindingSeverity::Warning].map(count);
    if args.common.json {
        output.json(&findings);
    } else {
        for kind in by_kind(&findings) {
            let is_cut = !args.all && kind.len() > MANY;
            let told = if is_cut { &kind[..EXAMPLES] } else { &kind[..] };
            if let (true, [first, ..]) = (is_cut, told) {
                output.line(format_args!(
                    "{} [{}]: {} findings of this kind; --all prints all, and these are the first:",
                    first.severity,
                    shown(&first.kind, LONGEST),
                    kind.len()
                ));
            }
            told.iter().for_each(|finding| tell(finding, output));
        }
        let (errors, warnings) = (counted(errors, "error"), counted(warnings, "warning"));
        output.line(format_args!("{errors}, {warnings}"));
    }
    Ok(if errors > 0 { Verdict::Found } else { Verdict::Well })
}

/// The findings about streams by their kinds, and each other one by itself, as they came first.
fn by_kind(findings: &[StoreFinding]) -> Vec<Vec<&StoreFinding>> {
    let mut kinds: Vec<Vec<&StoreFinding>> = Vec::new();
    for finding in findings {
        let is_same = |kind: &&mut Vec<&StoreFinding>| {
            let first = kind[0];
            first.aggregate_id.is_some()
                && finding.aggregate_id.is_some()
                && (&first.kind, first.severity) == (&finding.kind, finding.severity)
        };
        match kinds.iter_mut().find(is_same) {
            Some(kind) => kind.push(finding),
            None => kinds.push(vec![finding]),
        }
    }
    kinds
}

/// A finding with its repair.
pub(super) fn tell(finding: &StoreFinding, output: &mut Output) {
    output.line(shown(&finding.to_string(), LONGEST));
    if let Some(repair) = &finding.repair {
        // a command ends here, and a sentence has its own end
        let end = if repair.ends_with('.') { "" } else { ";" };
        // a part of a command is none
        output.line(format_args!("  repair: {}{end}", shown(repair, usize::MAX)));
    }
}
