//! What a step would do, for `--dry-run`.

use serde_json::{Value, json};

use super::super::output::{Output, counted, shown};
use crate::cutover::{Plan, Warning};

pub(super) fn tell(plan: &Plan, json: bool, output: &mut Output) {
    if json {
        return output.json(&as_json(plan));
    }
    output.line(match plan.phase == plan.then {
        true => format!("in phase `{}`; nothing is changed by this call", plan.phase),
        false => format!(
            "from phase `{}` to `{}`; nothing is changed by this call",
            plan.phase, plan.then
        ),
    });
    for (what, count) in &plan.counts {
        output.line(format_args!("{what}: {count}"));
    }
    plan.warnings.iter().for_each(|warning| output.line(line(warning)));
    output.line(format_args!("{}:", counted(plan.statements.len(), "statement")));
    for statement in &plan.statements {
        let end = if statement.trim_end().ends_with(';') { "" } else { ";" };
        output.line(format_args!("{}{end}", statement.trim_end()));
    }
}

fn as_json(plan: &Plan) -> Value {
    let mut shown = json!(plan);
    shown["dry_run"] = true.into();
    shown
}

/// Something to be known about the old table.
pub(super) fn line(warning: &Warning) -> String {
    let Warning { key, problem, cure } = warning;
    shown(&format!("warning: {key}: {problem}; {cure}"), 2_000)
}
