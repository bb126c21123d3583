//! `turing inbox`: what waits for people, and who has claimed it.

use clap::{Args, Subcommand};
use es_core::Aggregate;
use serde_json::json;
use turing_domain::{ConversationId, Posting, PostingId, RunId};

use super::operate::speaker;
use super::output::{Output, counted, shown};
use super::run_name::{self, RunName};
use super::show::second;
use super::{Common, Failure, Verdict, held_back, telling};
use crate::left_out::{LeftOut, named};
use crate::people::{
    Asked, Claimed, FormField, Inbox, InboxFilter, InboxTask, claim, inbox, release,
};
use crate::proposal::command;
use crate::store::{Access, Store};

/// So many characters of what is asked are listed; `inbox show` has all of it.
const ASKED_CHARS: usize = 200;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct InboxArgs {
    #[command(subcommand)]
    command: Option<InboxCommand>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Subcommand)]
enum InboxCommand {
    /// Print one task with all that is asked.
    Show(ShowArgs),
    /// Claim a task by name, so that others leave it.
    Claim(HoldArgs),
    /// Give a claimed task back.
    Release(HoldArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Of one run only: its id, or the beginning of it [default: all runs in progress]
    #[arg(long, value_name = "RUN")]
    run: Option<RunName>,
    /// At one conversation only.
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    conversation: Option<i32>,
    /// Only what this person has claimed, or nobody has.
    #[arg(long = "for", value_name = "NAME")]
    for_whom: Option<String>,
    /// List so many at most; those that are due first come first.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Print a posting and a conversation a line, for other programs.
    #[arg(long, conflicts_with = "json")]
    ids: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct ShowArgs {
    #[command(flatten)]
    task: TaskArgs,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct HoldArgs {
    #[command(flatten)]
    task: TaskArgs,
    #[command(flatten)]
    who: WhoArgs,
    #[command(flatten)]
    common: Common,
}

/// Which task is meant.
#[derive(Debug, Args)]
pub(super) struct TaskArgs {
    /// The posting's id, such as 12345.
    #[arg(allow_negative_numbers = true)]
    posting: i32,
    /// The conversation's id, such as 9103.
    #[arg(allow_negative_numbers = true)]
    conversation: i32,
}

/// Who speaks.
#[derive(Debug, Args)]
pub(super) struct WhoArgs {
    /// Your name, as others know it [default: the login name]
    #[arg(long, value_name = "NAME", env = "TURING_BY")]
    by: Option<String>,
    /// Take the task from whoever has claimed it, for this reason.
    #[arg(long, value_name = "REASON")]
    take_over: Option<String>,
    /// Only this execution of the conversation, from 1, such as the list says: not a later one.
    #[arg(long, value_name = "N")]
    execution: Option<u32>,
}

impl TaskArgs {
    /// What is asked of this task by whom.
    pub(super) fn asked(&self, who: WhoArgs) -> Result<Asked, Failure> {
        let WhoArgs { by, take_over, execution } = who;
        let by = speaker(by)?;
        if take_over.as_ref().is_some_and(|reason| reason.trim().is_empty()) {
            let what = "--take-over takes the reason, which the one who had it will read";
            return Err(Failure::Usage { what: what.to_owned() });
        }
        let (posting, conversation) = (self.posting(), ConversationId(self.conversation));
        Ok(Asked { posting, conversation, execution, by, take_over })
    }

    fn posting(&self) -> PostingId {
        PostingId(self.posting)
    }
}

impl InboxArgs {
    /// True if the answer is all that there is of it.
    pub(super) fn only_looks(&self) -> bool {
        matches!(self.command, None | Some(InboxCommand::Show(_)))
    }
}

pub(super) async fn execute(args: InboxArgs, output: &mut Output) -> Result<Verdict, Failure> {
    match args.command {
        None => {
            let store = Store::open(&args.list.common.store()?, Access::Read).await?;
            held_back::warn(&store).await;
            let done = list(&store, &args.list, output).await;
            store.close().await;
            done
        }
        Some(InboxCommand::Show(args)) => {
            let store = Store::open(&args.common.store()?, Access::Read).await?;
            held_back::warn(&store).await;
            let done = show(&store, &args, output).await;
            store.close().await;
            done
        }
        Some(InboxCommand::Claim(args)) => hold(args, true, output).await,
        Some(InboxCommand::Release(args)) => hold(args, false, output).await,
    }
}

async fn list(store: &Store, args: &ListArgs, output: &mut Output) -> Result<Verdict, Failure> {
    let filter = InboxFilter {
        run: run_name::find(store, &args.run).await?,
        conversation: args.conversation.map(ConversationId),
        posting: None,
        for_whom: args.for_whom.clone(),
        limit: args.limit,
        is_brief: args.ids,
    };
    let inbox = inbox(store, &filter).await?;
    if args.common.json {
        output.json(&inbox);
    } else if args.ids {
        for task in &inbox.tasks {
            output.text(format_args!("{} {}", task.posting_id, task.conversation_id));
        }
        tell_missing(&inbox);
    } else {
        tell(&inbox, output);
    }
    Ok(Verdict::Well)
}

/// Tells beside ids, which other programs read, what is not among them.
fn tell_missing(inbox: &Inbox) {
    if inbox.more > 0 {
        telling::tell(format_args!("{} more; --limit N lists more of them", inbox.more));
    }
    for run_id in &inbox.unknown_runs {
        telling::tell(unknown(*run_id));
    }
    if !inbox.left_out.is_empty() {
        telling::tell(named(&inbox.left_out));
    }
}

fn unknown(run_id: RunId) -> String {
    let show = command(format_args!("run show {run_id} --definition"));
    format!(
        "of run {run_id} it is not known what waits, as its definition is not in the store or cannot be \
         read; `{show}` says more"
    )
}

fn tell(inbox: &Inbox, output: &mut Output) {
    let Inbox { tasks, more, unknown_runs, left_out } = inbox;
    for task in tasks {
        tell_task(task, ASKED_CHARS, output);
    }
    match (tasks.is_empty(), more) {
        (true, 0) => output.line("nothing waits for anybody"),
        (_, 0) => {
            let (tasks, answer) = (counted(tasks.len(), "task"), "answer POSTING CONVERSATION …");
            output.line(format_args!("\n{tasks}; `{}` answers one", command(answer)));
        }
        (_, more) => output.line(format_args!("\nand {more} more; --limit N lists more of them")),
    }
    for run_id in unknown_runs {
        output.line(unknown(*run_id));
    }
    if !left_out.is_empty() {
        output.hanging("", &named(left_out));
    }
}

/// Prints a task, and so many characters of what is asked.
fn tell_task(task: &InboxTask, longest: usize, output: &mut Output) {
    let who = task.actor.as_deref().map_or_else(|| task.actor_id.to_string(), str::to_owned);
    let due = task.due_at.map_or_else(String::new, |due_at| format!(", due {}", second(due_at)));
    let claimed = match (&task.claimed_by, task.claimed_at) {
        (Some(by), Some(at)) => format!(", claimed by {} at {}", shown(by, 60), second(at)),
        _ => String::new(),
    };
    let again = match task.execution {
        1 => String::new(),
        execution => format!(", execution {execution}"),
    };
    output.line(format_args!(
        "posting {}, conversation {} {} ({}){again}: open since {}{due}{claimed}",
        task.posting_id,
        task.conversation_id,
        shown(&task.conversation, 40),
        shown(&who, 40),
        second(task.since),
    ));
    match (&task.input, &task.no_input) {
        // who looks at one task reads its question as it was written
        (Some(input), _) if longest == usize::MAX && input.contains('\n') => {
            output.line("  asked:");
            for line in input.lines() {
                output.line(format_args!("    {line}"));
            }
        }
        (Some(input), _) => output.hanging("  asked: ", &shown(input, longest)),
        (None, Some(reason)) => output.hanging("  what is asked cannot be said: ", reason),
        (None, None) => {}
    }
    match (task.has_form, task.fields.is_empty()) {
        (false, _) => {}
        (true, true) => output.line("  the answer is JSON, as the form asks for"),
        (true, false) => {
            let fields: Vec<_> = task.fields.iter().map(field).collect();
            output.hanging("  fields: ", &fields.join("; "));
        }
    }
}

/// A field in words.
fn field(field: &FormField) -> String {
    let required = field.is_required.then(|| "required".to_owned());
    let about: Vec<_> =
        [field.what.clone(), field.description.clone(), required].into_iter().flatten().collect();
    match about.is_empty() {
        true => field.name.clone(),
        false => format!("{} ({})", field.name, about.join(", ")),
    }
}

async fn show(store: &Store, args: &ShowArgs, output: &mut Output) -> Result<Verdict, Failure> {
    let (posting, conversation) = (args.task.posting(), ConversationId(args.task.conversation));
    let filter = InboxFilter {
        conversation: Some(conversation),
        posting: Some(posting),
        limit: 1,
        ..InboxFilter::default()
    };
    let inbox = inbox(store, &filter).await?;
    let Some(task) = inbox.tasks.first() else {
        let is_its = |left_out: &&LeftOut| {
            let stream = &left_out.stream;
            stream.aggregate_type() == Posting::TYPE && stream.aggregate_id() == posting.to_string()
        };
        if let Some(LeftOut { stream, version, reason }) = inbox.left_out.iter().find(is_its) {
            let what = format!(
                "what waits in posting {posting} is not known, since event {version} of {stream} cannot \
                 be read: {reason}"
            );
            return Err(Failure::NotFound { what });
        }
        let list = command("inbox");
        let what = format!(
            "nothing waits for a person at conversation {conversation} of posting {posting}; `{list}` \
             lists what does"
        );
        return Err(Failure::NotFound { what });
    };
    match args.common.json {
        true => output.json(task),
        false => tell_task(task, usize::MAX, output),
    }
    Ok(Verdict::Well)
}

async fn hold(args: HoldArgs, claims: bool, output: &mut Output) -> Result<Verdict, Failure> {
    let HoldArgs { task, who, common } = args;
    let asked = task.asked(who)?;
    let store = Store::open(&common.store()?, Access::Existing).await?;
    let held = match claims {
        true => claim(&store, &asked).await,
        false => release(&store, &asked).await,
    };
    store.close().await;
    let Claimed { is_new, taken_from } = held?;
    let Asked { posting, conversation, by, .. } = &asked;
    if common.json {
        output.json(&json!({
            "posting_id": posting,
            "conversation_id": conversation,
            "by": by,
            "claimed": claims,
            "is_new": is_new,
            "taken_from": taken_from,
        }));
        return Ok(Verdict::Well);
    }
    let what = format!("conversation {conversation} of posting {posting}");
    let by = shown(by, 60);
    match (claims, is_new, taken_from) {
        (true, true, Some(from)) => {
            output.line(format_args!("{by} has {what} now, and {} no longer", shown(&from, 60)));
        }
        (true, true, None) => output.line(format_args!("{by} has claimed {what}")),
        (true, false, _) => output.line(format_args!("nothing to do: {by} has claimed {what}")),
        (false, true, _) => output.line(format_args!("{what} is given back")),
        (false, false, _) => {
            output.line(format_args!("nothing to do: nobody has claimed {what}"));
        }
    }
    Ok(Verdict::Well)
}
