//! UmaDB: reads an aggregate by its tag, and appends on the condition that nothing came after.

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::TryStreamExt;
use peers_harness::{Execution, Failure, Outcome, Peer, Posting, Ready, Seen};
use umadb_client::{AsyncUmaDbClient, UmaDbClient};
use umadb_dcb::{
    DcbAppendCondition, DcbError, DcbEvent, DcbEventStoreAsync, DcbQuery, DcbQueryItem,
};
use uuid::Uuid;

const EVENT_TYPE: &str = "ScriptExecutionCompleted";
/// Connections of one process; each carries many requests at once.
const CLIENTS: usize = 10;

struct UmaDb {
    clients: Vec<AsyncUmaDbClient>,
    next: AtomicUsize,
}

/// What a command sees of its aggregate.
fn boundary(aggregate: u64) -> DcbQuery {
    let item = DcbQueryItem::new().types([EVENT_TYPE]).tags([format!("posting:{aggregate}")]);
    DcbQuery::new().item(item)
}

fn event(aggregate: u64, execution: &Execution) -> Result<DcbEvent, Failure> {
    // with what is known of it, as its own examples do; metadata takes text only
    Ok(DcbEvent::default()
        .event_type(EVENT_TYPE)
        .tags([format!("posting:{aggregate}")])
        .data(serde_json::to_vec(execution)?)
        .uuid(Uuid::now_v7()))
}

impl UmaDb {
    fn client(&self) -> &AsyncUmaDbClient {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        &self.clients[next % self.clients.len()]
    }

    /// The state, and the position up to which it is known.
    async fn read(&self, aggregate: u64) -> Result<(Posting, Option<u64>), Failure> {
        let client = self.client();
        let mut response = client.read(Some(boundary(aggregate)), None, false, None).await?;
        let mut posting = Posting::default();
        while let Some(event) = response.try_next().await? {
            let execution: Execution = serde_json::from_slice(&event.event.data)?;
            posting.evolve(execution.conversation_id, &execution.output);
        }
        let head = response.head().await?;
        Ok((posting, head))
    }
}

impl Peer for UmaDb {
    async fn prepare(_: &str) -> Result<(), Failure> {
        // the server has made its file
        Ok(())
    }

    async fn open(url: &str, _: Option<Seen>) -> Result<Self, Failure> {
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(UmaDbClient::new(url.to_owned()).connect_async().await?);
        }
        Ok(Self { clients, next: AtomicUsize::new(0) })
    }

    async fn command(
        &self,
        aggregate: u64,
        executions: Vec<Execution>,
    ) -> Result<Outcome, Failure> {
        let (posting, head) = self.read(aggregate).await?;
        if posting.is_terminal() {
            return Err("the posting is terminal".into());
        }
        let events = executions.iter().map(|execution| event(aggregate, execution));
        let events = events.collect::<Result<_, _>>()?;
        let condition = DcbAppendCondition::new(boundary(aggregate)).after(head);
        match self.client().append(events, Some(condition), None).await {
            Ok(_) => Ok(Outcome::Stored),
            Err(DcbError::IntegrityError(_)) => Ok(Outcome::Conflict),
            Err(error) => Err(error.into()),
        }
    }

    async fn load(&self, aggregate: u64) -> Result<u64, Failure> {
        Ok(self.read(aggregate).await?.0.events)
    }

    async fn follow(&self, seen: Seen, ready: Ready) -> Result<(), Failure> {
        // it reads the log from its start, so nothing is too early
        let _ = ready.send(());
        let mut subscription = self.client().subscribe(None, None).await?;
        while let Some(event) = subscription.try_next().await? {
            if seen.send(serde_json::from_slice(&event.event.data)?).is_err() {
                break;
            }
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    peers_harness::main::<UmaDb>()
}
