//! The smallest aggregate, with its test: `cargo run -p es-memory --example counter`.
use es_core::{Aggregate, Event, Repository};
use es_memory::MemoryStore;

#[derive(Event, Debug, Clone, PartialEq)]
enum CounterEvent {
    CounterIncreased { by: u32 },
}
use CounterEvent::*;

#[derive(Default, Debug, Clone, PartialEq)]
struct Counter(u32);

impl Aggregate for Counter {
    const TYPE: &'static str = "counter";
    type Id = String;
    type Event = CounterEvent;
    fn evolve(&mut self, CounterIncreased { by }: &CounterEvent) {
        self.0 = self.0.saturating_add(*by);
    }
}

fn increase(counter: &Counter, by: u32) -> Result<CounterEvent, &'static str> {
    counter.0.checked_add(by).map(|_| CounterIncreased { by }).ok_or("the counter is full")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let counters = Repository::<Counter>::new(MemoryStore::new());
    let counted = counters.by_id("visits").decide(|counter| increase(counter, 2)).await?;
    assert_eq!((counted.state, counted.version.as_u64()), (Counter(2), 1));
    Ok(())
}

#[test]
fn a_counter_increases_until_it_is_full() {
    let given = es_testing::spec::given::<Counter>([CounterIncreased { by: 1 }]);
    given.when(|counter| increase(counter, u32::MAX)).then_rejected("the counter is full");
}
