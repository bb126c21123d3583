//! `turing run retry`: postings that failed in a run, once more.

use std::collections::{BTreeMap, BTreeSet};

use es_core::event::{EventFilter, EventStoreExt, ReadLog};
use futures_util::TryStreamExt;
use turing_domain::{EndReason, Posting, PostingEvent, PostingId, RunId};

use super::Failure;
use super::call::Call;
use super::output::shown;
use super::telling::tell;
use crate::account::{Status, account_of, is_of};
use crate::left_out::{LeftOut, named};
use crate::postings::PostingInput;
use crate::proposal::command;
use crate::run::{Intake, StepError};
use crate::store::Store;

/// What is to be run once more.
pub(super) struct FailedPostings {
    /// The run in which they failed.
    pub(super) run_id: RunId,
    pub(super) intake: Intake,
    /// Every key that some of their data has.
    pub(super) data_keys: BTreeSet<String>,
}

/// The postings of a run that ended where the definition's author did not end them.
pub(super) async fn failed_postings(
    call: &Call<'_>,
    store: &Store,
    run_id: Option<RunId>,
) -> Result<FailedPostings, Failure> {
    let account = account_of(store, run_id, Some(call.definition.workflow.id)).await?;
    let run_id = account.run_id;
    if account.status == Status::InProgress {
        let again = call.again.as_deref().unwrap_or_default();
        let resume = match call.definition.is_recorded {
            true => format!("run resume {run_id}{again}"),
            false => format!("run resume{again}"),
        };
        let what = format!(
            "run {run_id} is in progress; finish it with `{}`, or with the command that began it",
            command(resume)
        );
        return Err(Failure::InTheWay { what });
    }
    let filter = EventFilter::events([PostingEvent::POSTING_TERMINAL]).aggregate::<Posting>();
    let mut ends = store.events.log(ReadLog::from_start().filter(filter));
    let (mut postings, mut data_keys) = (BTreeMap::new(), BTreeSet::new());
    let mut left_out = account.left_out;
    while let Some(event) = ends.try_next().await? {
        let (reason, ended_in) = match event.decode_one() {
            Ok(PostingEvent::PostingTerminal { reason, run_id, .. }) => (reason, run_id),
            Ok(_) => continue,
            Err(error) => {
                let odd = LeftOut::undecoded(&event, &error);
                if is_of(&event, run_id) && !left_out.contains(&odd) {
                    left_out.push(odd);
                }
                continue;
            }
        };
        let is_failure = !reason.0.unwrap_or(EndReason::Completed).is_normal();
        if ended_in.0 == Some(run_id)
            && is_failure
            && let Ok(posting) = event.aggregate_id::<Posting>()
        {
            call.signs.going().phase("reading the postings that failed", postings.len(), None);
            let input = registered(store, posting).await?;
            data_keys.extend(input.data.keys().cloned());
            postings.insert(posting, input.digest());
        }
    }
    if !left_out.is_empty() {
        tell(shown(&named(&left_out), 240));
    }
    if postings.is_empty() {
        let what = format!("run {run_id} has no failed posting; nothing is to be done again");
        return Err(Failure::NotFound { what });
    }
    let read = postings.len();
    let intake = Intake { postings, read, ..Intake::default() };
    Ok(FailedPostings { run_id, intake, data_keys })
}

/// A posting as it is registered.
pub(super) async fn registered(store: &Store, posting: PostingId) -> Result<PostingInput, Failure> {
    let data = store.postings.data(posting).await?;
    let data = data.ok_or(Failure::Run(StepError::Unregistered { posting }.into()))?;
    Ok(PostingInput { source: String::new(), posting_id: Some(posting), data })
}
