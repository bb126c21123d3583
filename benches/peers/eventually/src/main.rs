//! eventually on PostgreSQL and in memory: `Repository::get`, `AggregateRoot::handle`, `Repository::add`;
//! on PostgreSQL all on the one connection that its store has.

use std::process::ExitCode;
use std::sync::Arc;

use eventually::aggregate::{Aggregate, AggregateRootBuilder};
use eventually::inmemory::{
    ConflictError, EventStore as MemoryStore, EventStoreBuilder as MemoryStoreBuilder,
};
use eventually::repository::{Error as RepositoryError, Repository};
use eventually::store::{AppendError as _, EventStore as Store};
use eventually::subscription::EventSubscriber as _;
use eventually_postgres::store::Error as StoreError;
use eventually_postgres::{EventStore, EventStoreBuilder, EventSubscriber};
use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use peers_harness::{Execution, Failure, InMemory, Outcome, Peer, Posting, Ready, Seen};
use tokio_compat_02::FutureExt;
use tokio_postgres::NoTls;

/// Also the name of the channel on which its subscribers listen.
const TYPE_NAME: &str = "posting";

#[derive(Debug, Clone, thiserror::Error)]
#[error("the posting is terminal")]
struct PostingClosed;

#[derive(Debug, Clone)]
struct PostingAggregate;

impl Aggregate for PostingAggregate {
    type Id = String;
    type State = Posting;
    // with what is known of it: the crate keeps no metadata
    type Event = Execution;
    type Command = Vec<Execution>;
    type Error = PostingClosed;

    fn apply(mut state: Posting, event: Execution) -> Result<Posting, PostingClosed> {
        state.evolve(event.conversation_id, &event.output);
        Ok(state)
    }

    fn handle<'a, 's: 'a>(
        &'a self,
        _: &'s String,
        state: &'s Posting,
        command: Vec<Execution>,
    ) -> BoxFuture<'a, Result<Option<Vec<Execution>>, PostingClosed>> {
        let decided = if state.is_terminal() { Err(PostingClosed) } else { Ok(Some(command)) };
        Box::pin(async move { decided })
    }
}

type Postings<S> = Repository<PostingAggregate, S>;
type OnPostgres = EventStore<String, Execution>;

struct Eventually {
    postings: Postings<OnPostgres>,
    url: String,
}

async fn connect(url: &str) -> Result<Postings<OnPostgres>, Failure> {
    let (mut client, connection) = tokio_postgres::connect(url, NoTls).compat().await?;
    // it ends with the client
    drop(spawn(connection));
    // the only way to a store; what is there is not made again
    let migrated = EventStoreBuilder::migrate_database(&mut client).await;
    let builder = migrated.map_err(|error| error.to_string())?.builder(Arc::new(client));
    let store = builder.build(TYPE_NAME).await?;
    Ok(Repository::new(AggregateRootBuilder::from(PostingAggregate), store))
}

fn spawn<F>(connection: F) -> tokio::task::JoinHandle<()>
where
    F: Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static,
{
    tokio::spawn(async {
        // whoever uses the connection gets the error, too
        let _ = connection.compat().await;
    })
}

/// The crate says that no error is a conflict (`is_conflict_error`), so its server's words must do.
fn is_conflict(error: &StoreError) -> bool {
    let StoreError::Postgres(error) = error else { return false };
    let shown = error.to_string();
    shown.contains("invalid aggregate version") || shown.contains("duplicate key")
}

/// A whole command, on whichever store.
async fn decide<S>(
    postings: &Postings<S>,
    aggregate: u64,
    executions: Vec<Execution>,
    is_conflict: fn(&S::Error) -> bool,
) -> Result<Outcome, Failure>
where
    S: Store<SourceId = String, Event = Execution> + Clone,
    S::Error: Send + Sync + 'static,
{
    let mut postings = postings.clone();
    let mut posting = postings.get(aggregate.to_string()).await?;
    posting.handle(executions).await?;
    match postings.add(posting).await {
        Ok(_) => Ok(Outcome::Stored),
        Err(RepositoryError::Store(error)) if is_conflict(&error) => Ok(Outcome::Conflict),
        Err(error) => Err(error.into()),
    }
}

impl Peer for Eventually {
    async fn prepare(url: &str) -> Result<(), Failure> {
        connect(url).await?;
        Ok(())
    }

    async fn open(url: &str, _: Option<Seen>) -> Result<Self, Failure> {
        Ok(Self { postings: connect(url).await?, url: url.to_owned() })
    }

    async fn command(
        &self,
        aggregate: u64,
        executions: Vec<Execution>,
    ) -> Result<Outcome, Failure> {
        decide(&self.postings, aggregate, executions, is_conflict).await
    }

    async fn load(&self, aggregate: u64) -> Result<u64, Failure> {
        Ok(self.postings.get(aggregate.to_string()).await?.state().events)
    }

    async fn follow(&self, seen: Seen, ready: Ready) -> Result<(), Failure> {
        let subscriber = EventSubscriber::<String, Execution>::new(&self.url, TYPE_NAME);
        let subscriber = subscriber.compat().await?;
        let mut events = subscriber.subscribe_all().await?;
        // nobody waits any more when the run is over
        let _ = ready.send(());
        while let Some(event) = events.try_next().await? {
            if seen.send(event.take()).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// The same in memory.
struct Memory(Postings<MemoryStore<String, Execution>>);

impl InMemory for Memory {
    fn open() -> Result<Self, Failure> {
        let store = MemoryStoreBuilder::for_aggregate(&PostingAggregate);
        Ok(Self(Repository::new(AggregateRootBuilder::from(PostingAggregate), store)))
    }

    async fn command(
        &self,
        aggregate: u64,
        executions: Vec<Execution>,
    ) -> Result<Outcome, Failure> {
        decide(&self.0, aggregate, executions, ConflictError::is_conflict_error).await
    }
}

fn main() -> ExitCode {
    peers_harness::main_with_memory::<Eventually, Memory>()
}
