//! `turing answer`: a person's answer to a task.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use turing_domain::{FailureType, HumanAnswer};

use super::inbox::{TaskArgs, WhoArgs};
use super::output::{Output, shown};
use super::{Common, Failure, Verdict};
use crate::people::{Answered, Asked, Standing, answer, from_fields};
use crate::proposal::command;
use crate::store::{Access, Store};

/// So many bytes an answer has at most, as the output of a script.
const MAX_BYTES: u64 = 1024 * 1024;

#[derive(Debug, Args)]
pub(super) struct AnswerArgs {
    #[command(flatten)]
    task: TaskArgs,
    /// The answer is what this file has, as it stands, or - for standard input; JSON where there is a
    /// form.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The answer is a JSON object with this field, of the type that the form asks for; may be repeated.
    #[arg(long = "field", value_name = "NAME=VALUE", conflicts_with = "output")]
    fields: Vec<String>,
    /// It cannot be done: the type of the failure, which rules with on = "failure" look at.
    #[arg(long, value_name = "TYPE", requires = "because", conflicts_with_all = ["output", "fields"])]
    fail: Option<String>,
    /// Why it cannot be done.
    #[arg(long, value_name = "TEXT", requires = "fail")]
    because: Option<String>,
    #[command(flatten)]
    who: WhoArgs,
    #[command(flatten)]
    common: Common,
}

pub(super) async fn execute(args: AnswerArgs, output: &mut Output) -> Result<Verdict, Failure> {
    let AnswerArgs { task, output: file, fields, fail, because, who, common } = args;
    let asked = task.asked(who)?;
    let url = common.store()?;
    // what can be wrong without a store is told before it is opened
    let given = match (file, fields.is_empty(), fail) {
        (Some(file), ..) => Given::Whole(HumanAnswer::Done(read(&file)?)),
        (None, false, _) => Given::Fields(split(&fields)?),
        (None, true, Some(fail)) => Given::Whole(HumanAnswer::Failed {
            failure_type: failure_type(&fail)?,
            error: reason(because.unwrap_or_default())?,
        }),
        (None, true, None) => {
            let what = "give the answer: --output FILE, --field NAME=VALUE, or --fail TYPE --because \
                        TEXT if it cannot be done";
            return Err(Failure::Usage { what: what.to_owned() });
        }
    };
    let store = Store::open(&url, Access::Existing).await?;
    let done = Box::pin(give(&store, &asked, given)).await;
    store.close().await;
    tell(&asked, &done?, common.json, output);
    Ok(Verdict::Well)
}

/// What was given as an answer.
enum Given {
    Whole(HumanAnswer),
    /// It depends on the form what these are.
    Fields(Vec<(String, String)>),
}

async fn give(store: &Store, asked: &Asked, given: Given) -> Result<Answered, Failure> {
    let given = match given {
        Given::Whole(given) => given,
        Given::Fields(fields) => {
            let standing = Standing::read(store, asked.posting).await?;
            let workflow = &standing.workflow;
            let conversation = workflow.conversation(asked.conversation);
            let person = conversation.and_then(|one| workflow.person_at(one));
            let form = person.and_then(|person| person.form.as_ref());
            let object = from_fields(form, &fields)
                .map_err(|error| Failure::Usage { what: error.to_string() })?;
            HumanAnswer::Done(object.to_string())
        }
    };
    Ok(answer(store, asked, &given).await?)
}

/// The text of a file, or of standard input.
fn read(file: &Path) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let read = match file == Path::new("-") {
        true => io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes),
        false => File::open(file).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)),
    };
    let wrong = |what: String| Failure::Usage { what };
    read.map_err(|error| wrong(format!("--output: cannot read {}: {error}", file.display())))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(wrong(format!("--output: an answer has at most {MAX_BYTES} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| wrong("--output: the answer is no UTF-8".to_owned()))
}

/// The fields by their names.
fn split(fields: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let split = fields.iter().map(|field| match field.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => {
            let what = format!("--field takes NAME=VALUE, not `{}`", shown(field, 60));
            Err(Failure::Usage { what })
        }
    });
    split.collect()
}

/// Why it cannot be done, which somebody has to read.
fn reason(text: String) -> Result<String, Failure> {
    match text.trim().is_empty() {
        true => {
            let what = "--because takes the reason, which whoever looks at the posting will read";
            Err(Failure::Usage { what: what.to_owned() })
        }
        false => Ok(text),
    }
}

fn failure_type(text: &str) -> Result<FailureType, Failure> {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    match !text.is_empty() && text.len() <= 60 && text.chars().all(is_word) {
        true => Ok(FailureType::from(text)),
        false => {
            let what = "--fail takes the name of a failure type, such as refused or \
                        invalid_input: small letters, digits and _";
            Err(Failure::Usage { what: what.to_owned() })
        }
    }
}

fn tell(asked: &Asked, answered: &Answered, is_json: bool, output: &mut Output) {
    let Asked { posting, conversation, by, .. } = asked;
    let Answered { run_id, before, taken_from, opened, ended } = answered;
    if is_json {
        output.json(&json!({
            "posting_id": posting,
            "conversation_id": conversation,
            "by": by,
            "run_id": run_id,
            "before": before,
            "taken_from": taken_from,
            "opened": opened,
            "ended": ended,
        }));
        return;
    }
    let by = shown(by, 60);
    if let Some(before) = before {
        output.line(format_args!("nothing to do: {by} gave this answer at {before}"));
        return;
    }
    let from = taken_from
        .as_ref()
        .map_or_else(String::new, |from| format!(", who has taken it from {}", shown(from, 60)));
    let what =
        format!("conversation {conversation} of posting {posting} is answered by {by}{from}");
    if let Some(reason) = ended {
        output.line(format_args!("{what}; the posting has ended: {reason}"));
    } else if opened.is_empty() {
        output.line(format_args!("{what}; this path of the posting has ended"));
    } else {
        let opened: Vec<_> = opened.iter().map(ToString::to_string).collect();
        output.line(format_args!("{what}; next: {}", opened.join(", ")));
    }
    let resume = command(format_args!("run resume {run_id}"));
    output.line(format_args!(
        "a run in progress goes on with it at once; if none is, `{resume}` goes on"
    ));
}
