//! One posting with more and more events: how the time to rebuild it grows.

use std::time::{Duration, Instant};

use es_benches::rounds::{Round, Rounds, Unit};
use es_core::Repository;
use es_core::execution::StreamVersion;
use es_pgtest::Server;
use turing::read_models::PostingRow;
use turing::store::Store;
use turing_domain::{Posting, PostingId};

use crate::models::{Way, made};
use crate::postgres::Postgres;
use crate::sqlite::Template;
use crate::{Failure, Sizes};

/// The posting; nothing else is in its store, so a rebuild is of it alone.
const POSTING: i32 = 1;

/// What one way took, by size and round.
struct Growth {
    name: &'static str,
    took: [Vec<Duration>; 4],
}

impl Growth {
    fn new(name: &'static str) -> Self {
        Self { name, took: Default::default() }
    }

    /// One line for each step.
    fn print(&self, sizes: [usize; 4]) {
        for (step, pair) in self.took.windows(2).enumerate() {
            let name = format!("{}: {} events", self.name, sizes[step + 1]);
            let mut rounds = Rounds::new(name, "<= 5", Unit::Milliseconds);
            for (less, more) in pair[0].iter().zip(&pair[1]) {
                let round = |took: &Duration| Round { events: 1, took: *took };
                rounds.add(&round(more), &round(less));
            }
            println!("{}", rounds.line());
        }
    }
}

fn headings(backend: &str) -> String {
    format!("\nOne posting on {backend}\n{}", Rounds::headings("this", "a quarter"))
}

/// How long it takes to fold the posting, without any model.
async fn folded(store: &Store, events: usize) -> Result<Duration, Failure> {
    let repository = Repository::<Posting>::new(store.events.clone());
    let start = Instant::now();
    let loaded = repository.load(&PostingId(POSTING)).await?;
    let took = start.elapsed();
    if loaded.version != StreamVersion::new(events as u64) {
        return Err(format!("{} events of {events} were folded", loaded.version).into());
    }
    Ok(took)
}

pub(crate) async fn on_postgres(server: &Server, sizes: &Sizes) -> Result<(), Failure> {
    let mut stores = Vec::new();
    for events in sizes.single {
        let mut postgres = Postgres::new(server).await?;
        postgres.fill(POSTING.into()..=POSTING.into(), events).await?;
        stores.push((postgres, events));
    }
    let mut model = Growth::new("rebuild posting_state");
    let mut fold = Growth::new("load");
    let mut in_sql = Growth::new("rebuild_posting_state()");
    for round in 0..=sizes.rounds {
        for (size, (postgres, events)) in stores.iter_mut().enumerate() {
            postgres.forget_models().await?;
            let events = *events;
            let took = [
                made::<PostingRow>(&postgres.store, Way::Rebuild, events as u64).await?,
                folded(&postgres.store, events).await?,
                postgres.rebuild(POSTING).await?,
            ];
            postgres.state(POSTING, events).await?;
            if round > 0 {
                for (growth, took) in [&mut model, &mut fold, &mut in_sql].into_iter().zip(took) {
                    growth.took[size].push(took);
                }
            }
        }
    }
    println!("{}", headings("PostgreSQL"));
    [model, fold, in_sql].iter().for_each(|growth| growth.print(sizes.single));
    for (postgres, _) in stores {
        postgres.close().await;
    }
    Ok(())
}

pub(crate) async fn on_sqlite(sizes: &Sizes) -> Result<(), Failure> {
    let mut templates = Vec::new();
    for events in sizes.single {
        let template = Template::filled(POSTING.into()..=POSTING.into(), events).await?;
        templates.push((template, events));
    }
    let mut model = Growth::new("rebuild posting_state");
    let mut fold = Growth::new("load");
    for round in 0..=sizes.rounds {
        for (size, (template, events)) in templates.iter().enumerate() {
            let copied = template.copied().await?;
            let rebuilt = made::<PostingRow>(&copied.store, Way::Rebuild, *events as u64).await?;
            let folded = folded(&copied.store, *events).await?;
            copied.close().await?;
            if round > 0 {
                model.took[size].push(rebuilt);
                fold.took[size].push(folded);
            }
        }
    }
    println!("{}", headings("SQLite"));
    [model, fold].iter().for_each(|growth| growth.print(sizes.single));
    Ok(())
}
