//! Whether a follower sees every event, and those of an aggregate in their order, while others write.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use crate::posting::Source;
use crate::{Execution, Failure, Follows, Outcome, Peer};

/// Who writes.
const WRITERS: u64 = 8;
/// Events of one aggregate.
const EVENTS: u64 = 10;
/// How long the follower may take for what is left when nobody writes any more.
const PATIENCE: Duration = Duration::from_secs(20);

/// An event: its aggregate and its number there.
type Id = (i64, u64);

/// What a follower has seen.
#[derive(Default)]
struct Follower {
    seen: HashSet<Id>,
    last: HashMap<i64, u64>,
    again: u64,
    disordered: u64,
}

impl Follower {
    fn see(&mut self, execution: &Execution) {
        let (aggregate, number) = (execution.actor_id, execution.duration_ms);
        if !self.seen.insert((aggregate, number)) {
            self.again += 1;
            return;
        }
        let last = self.last.entry(aggregate).or_insert(number);
        if number < *last {
            self.disordered += 1;
        }
        *last = number.max(*last);
    }
}

/// Writes until `until`; answers what was acknowledged.
async fn writer<P: Peer>(peer: Arc<P>, first: u64, until: Instant) -> Result<Vec<Id>, Failure> {
    let (mut acknowledged, mut aggregate) = (Vec::new(), first);
    let mut source = Source::seeded(first);
    while Instant::now() < until {
        for number in 0..EVENTS {
            let execution = source.execution(aggregate, number);
            let id = (execution.actor_id, number);
            while peer.command(aggregate, vec![execution.clone()]).await? == Outcome::Conflict {}
            acknowledged.push(id);
        }
        peer.forget(aggregate);
        aggregate += WRITERS;
    }
    Ok(acknowledged)
}

/// Takes what the follower has seen until it has seen all of `wanted` or loses patience.
async fn rest(
    follower: &mut Follower,
    seen: &mut UnboundedReceiver<Execution>,
    wanted: &HashSet<Id>,
) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut missing = wanted.difference(&follower.seen).count();
    while missing > 0 {
        let Ok(Some(execution)) = timeout_at(deadline, seen.recv()).await else { return };
        let is_new = !follower.seen.contains(&(execution.actor_id, execution.duration_ms));
        if is_new && wanted.contains(&(execution.actor_id, execution.duration_ms)) {
            missing -= 1;
        }
        follower.see(&execution);
    }
}

pub(crate) async fn storm<P: Peer>(url: &str, time: Duration) -> Result<Value, Failure> {
    let (sender, mut seen) = unbounded_channel();
    let handler = match P::FOLLOWS {
        Follows::Nothing => return Err("it has no way of following".into()),
        Follows::Handler => Some(sender.clone()),
        Follows::Log => None,
    };
    let peer = Arc::new(P::open(url, handler).await?);
    let following = P::open(url, None).await?;
    let (ready, is_ready) = oneshot::channel();
    let follows = tokio::spawn(async move {
        if P::FOLLOWS == Follows::Log { following.follow(sender, ready).await } else { Ok(()) }
    });
    // a handler has nothing to get ready, and a follower that fails is told of below
    let _ = is_ready.await;
    let until = Instant::now() + time;
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        writers.spawn(writer(peer.clone(), number, until));
    }
    let (mut wanted, mut follower) = (HashSet::new(), Follower::default());
    while let Some(done) = writers.join_next().await {
        wanted.extend(done??);
    }
    while let Ok(execution) = seen.try_recv() {
        follower.see(&execution);
    }
    rest(&mut follower, &mut seen, &wanted).await;
    if P::FOLLOWS == Follows::Log && follows.is_finished() {
        follows.await??;
        return Err("the follower has ended".into());
    }
    follows.abort();
    Ok(json!({
        "written": wanted.len(),
        "missed": wanted.difference(&follower.seen).count(),
        "again": follower.again,
        "disordered": follower.disordered,
        "handler": P::FOLLOWS == Follows::Handler,
    }))
}
