//! What holds whatever happens.

use std::time::Duration;

use es_core::backend::Slot;
use es_core::projection::{BatchLimit, Rebuild};

use super::ProjectionFixture;
use super::cut::{Side, cut};
use super::models::*;
use super::parts::*;

/// Random histories of appends, runners that are cut off, sleep, or are dropped in the middle of a
/// call, and rebuilds: in the end the model is the fold of the log, and so is one made anew.
pub(super) async fn rebuilt_is_live_is_live_with_restarts(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut numbers = 0;
    for step in 0..rounds(60, 600) {
        let told = || format!("ES_SEED={seed}, step {step}");
        for _ in 0..random.usize(0..8) {
            let account = stream(&random.u8(0..5).to_string());
            let size = random.u64(1..4);
            let events = match random.u8(0..12) {
                0 => vec![typed_event(CLOSED, numbers)],
                _ => events(numbers + 1..=numbers + size),
            };
            numbers += size;
            append(&store, &account, ANY, events).await;
        }
        let side = if random.bool() { Side::Before } else { Side::After };
        let sink_seen = match random.u8(0..3) {
            0 => sink.clone(),
            _ => cut(&sink, random.u64(0..12), side),
        };
        let holder = if random.bool() { "one" } else { "two" };
        let rows = random.usize(1..4);
        let limit = BatchLimit::events(random.usize(1..9)).rows(rows);
        if random.u8(0..4) == 0 {
            fixture.clock().step(TTL + Duration::from_secs(1));
        }
        if random.u8(0..6) == 0 {
            let rebuild = Rebuild::definition(with_models(&store, &sink_seen), Seen::model())
                .slices(random.u32(1..4))
                .batches(limit)
                .holder(holder);
            // it may be cut off, or refused, and then is resumed or left
            let _ = soon("a rebuild ends", rebuild.run()).await;
        }
        let mut runner = runner(&store, &sink_seen, holder)
            .definition(Seen::model())
            .definition(Crossing::model())
            .batches(limit);
        {
            let mut run = Box::pin(runner.catch_up());
            // some are dropped on the way, and what they called for is lost or done
            let polls = if random.bool() { random.usize(0..40) } else { 100_000 };
            let _ = polled(&mut run, polls).await;
        }
        if random.u8(0..3) == 0 {
            let mut runner = super::models::runner(&store, &sink, holder)
                .definition(Seen::model())
                .definition(Crossing::model());
            // the last call of a runner that was dropped may take a lease only now
            for attempt in 0.. {
                fixture.clock().step(TTL + Duration::from_secs(1));
                match soon("a runner comes to the end of the log", runner.catch_up()).await {
                    Ok(()) => break,
                    Err(error) => assert!(attempt < 9, "{error}, {}", told()),
                }
            }
            let (seen, crossing) = (lives(&store, Seen::model()), lives(&store, Crossing::model()));
            assert_eq!(stored(&sink, "seen", Slot::Active).await, seen.await, "{}", told());
            assert_eq!(stored(&sink, "crossing", Slot::Active).await, crossing.await, "{}", told());
        }
    }
    fixture.clock().step(TTL + Duration::from_secs(1));
    let live = lives(&store, Seen::model()).await;
    let rebuild = Rebuild::definition(with_models(&store, &sink), Seen::model()).slices(3);
    let rebuilt = soon("a rebuild ends", rebuild.run()).await;
    assert!(rebuilt.is_ok(), "nothing keeps it from its end: {rebuilt:?}, ES_SEED={seed}");
    assert_eq!(stored(&sink, "seen", Slot::Active).await, live, "ES_SEED={seed}");
}
