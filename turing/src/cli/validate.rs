//! `turing validate`: whether what is stored agrees with its events.

use super::output::{Output, shown};
use super::{Common, Failure, Verdict};
use crate::store::{Access, Store};
use crate::validate::{FindingSeverity, StoreFinding};

/// How much of a finding is shown as text, besides its repair.
const LONGEST: usize = 1_000;

pub(super) async fn execute(args: &Common, output: &mut Output) -> Result<Verdict, Failure> {
    let store = Store::open(&args.store()?, Access::Read).await?;
    let validated = store.validate().await;
    store.close().await;
    let findings = validated?;
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let [errors, warnings] = [FindingSeverity::Error, FindingSeverity::Warning].map(count);
    if args.json {
        output.json(&findings);
    } else {
        findings.iter().for_each(|finding| tell(finding, output));
        let s = |count| if count == 1 { "" } else { "s" };
        output.line(format_args!("{errors} error{}, {warnings} warning{}", s(errors), s(warnings)));
    }
    Ok(if errors > 0 { Verdict::Found } else { Verdict::Well })
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
