//! `turing why`: why postings are where they are, in one sentence each.

use std::io;
use std::str::FromStr;

use clap::Args;
use turing_domain::{PostingId, RunId};

use super::ids::{Ids, Line, no_id, unheard};
use super::output::{Output, counted};
use super::run_name::{self, RunName};
use super::telling::tell;
use super::{Common, Failure, Verdict};
use crate::proposal::command;
use crate::store::{Access, Store};
use crate::why::{Asker, PostingWhy, WhyOfRun};

#[derive(Debug, Args)]
pub(super) struct WhyArgs {
    /// The ids of postings, such as 501; - stands for ids on standard input, one a line.
    #[arg(value_name = "POSTING", required = true, allow_negative_numbers = true)]
    postings: Vec<Named>,
    /// Say it of this run, by its id or the beginning of it [default: the run that each posting entered
    /// last]
    #[arg(long, value_name = "RUN")]
    run: Option<RunName>,
    #[command(flatten)]
    common: Common,
}

/// What is named on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Posting(PostingId),
    StandardInput,
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "-" => Ok(Self::StandardInput),
            _ => text.parse().map(Self::Posting).map_err(|_| {
                "give the id of a posting, such as 501, or - for ids on standard input".to_owned()
            }),
        }
    }
}

pub(super) async fn execute(args: WhyArgs, output: &mut Output) -> Result<Verdict, Failure> {
    let store = Store::open(&args.common.store()?, Access::Read).await?;
    let done = Box::pin(tell_all(&store, &args, output)).await;
    store.close().await;
    done
}

async fn tell_all(store: &Store, args: &WhyArgs, output: &mut Output) -> Result<Verdict, Failure> {
    let run = run_name::find(store, &args.run).await?;
    let mut asking = Asking { asker: Asker::new(store), run, json: args.common.json, output };
    let (mut is_all_there, mut is_all_right) = (true, true);
    for named in &args.postings {
        let Named::Posting(posting) = named else {
            let mut ids = Ids::of(io::stdin());
            loop {
                if ids.may_wait() {
                    // whoever writes the ids may wait for the answers
                    asking.output.flush();
                }
                let line = ids.next_line().map_err(unheard)?;
                match line {
                    None => break,
                    Some(Line::Id(posting)) => is_all_there &= asking.about(posting).await?,
                    Some(Line::Other { number, text }) => {
                        tell(no_id(number, &text));
                        is_all_right = false;
                    }
                }
                if asking.output.is_over() {
                    break;
                }
            }
            continue;
        };
        is_all_there &= asking.about(*posting).await?;
    }
    Ok(match (is_all_right, is_all_there) {
        (false, _) => Verdict::Wrong,
        (true, false) => Verdict::Found,
        (true, true) => Verdict::Well,
    })
}

/// What is asked of each posting, and where the answers go.
struct Asking<'a> {
    asker: Asker<'a>,
    run: Option<RunId>,
    json: bool,
    output: &'a mut Output,
}

impl Asking<'_> {
    /// Prints the answer for a posting; true if it is there, and could be read.
    async fn about(&mut self, posting: PostingId) -> Result<bool, Failure> {
        let why = Box::pin(self.asker.ask(posting, self.run)).await?;
        match self.json {
            true => self.output.json_line(&why),
            false => {
                self.output.hanging(&format!("posting {posting}: "), &why.sentence);
                tell_others(&why, self.output);
            }
        }
        Ok(why.is_found())
    }
}

/// Prints the reasons of the other positions of a posting, below that of the first.
pub(super) fn tell_others(why: &PostingWhy, output: &mut Output) {
    for position in why.positions.iter().skip(1) {
        output.hanging("  and ", &position.sentence);
    }
}

/// So many reasons are told of a run.
const TOLD: usize = 10;

/// Prints why the open postings of a run are where they are.
pub(super) fn tell_of_run(waits: &WhyOfRun, run_id: RunId, output: &mut Output) {
    let WhyOfRun { groups, not_looked_at } = waits;
    if groups.is_empty() && *not_looked_at == 0 {
        return;
    }
    output.line("\nwhere the open postings stand:");
    for group in groups.iter().take(TOLD) {
        let many = match group.postings {
            1 => format!("posting {}", group.example),
            count => format!("{count} postings, such as {}", group.example),
        };
        output.hanging(&format!("  {many}: "), &group.sentence);
    }
    if let Some(more) = groups.len().checked_sub(TOLD).filter(|more| *more > 0) {
        output.line(format_args!("  and {} more", counted(more, "reason")));
    }
    if *not_looked_at > 0 {
        let open = counted(*not_looked_at, "open posting");
        output.line(format_args!("  {open} more: not looked at here"));
    }
    let (ids, why) = (command(format_args!("run show {run_id} --ids --open")), command("why -"));
    output.line(format_args!("`{ids} | {why}` tells of each posting"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_posting_is_named_by_its_id_and_standard_input_by_a_dash() {
        assert_eq!("501".parse(), Ok(Named::Posting(PostingId(501))));
        assert_eq!("-7".parse(), Ok(Named::Posting(PostingId(-7))));
        assert_eq!("-".parse(), Ok(Named::StandardInput));
        for wrong in ["", "--", "five", "501.5", "99999999999"] {
            assert!(wrong.parse::<Named>().is_err(), "{wrong}");
        }
    }
}
