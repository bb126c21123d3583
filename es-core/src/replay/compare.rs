//! One stream, folded by two logics at once.

use serde::Serialize;

use super::{Compared, Logic, ReplayError, Verdict};
use crate::aggregate::Aggregate;
use crate::event::DecodeError;
use crate::payload::Payload;
use crate::read::{PageLimit, ReadStream};
use crate::store::EventStore;
use crate::stream::StreamId;
use crate::time_travel::differences;
use crate::version::StreamVersion;

/// Two states and what takes an event into each.
pub(super) struct Pair<A, C, P, Q> {
    present: A,
    candidate: C,
    evolve_present: P,
    evolve_candidate: Q,
}

impl<A: Aggregate, C: Aggregate, P, Q> Pair<A, C, P, Q>
where
    P: Fn(&mut A, &A::Event),
    Q: Fn(&mut C, &C::Event),
{
    pub(super) fn new(evolve_present: P, evolve_candidate: Q) -> Self {
        Self { present: A::default(), candidate: C::default(), evolve_present, evolve_candidate }
    }

    fn take(&mut self, event: &crate::event::RecordedEvent) -> Result<(), (Logic, DecodeError)> {
        let present = event.decode::<A::Event>().map_err(|source| (Logic::Present, source))?;
        let candidate = event.decode::<C::Event>().map_err(|source| (Logic::Candidate, source))?;
        for event in present {
            (self.evolve_present)(&mut self.present, &event);
        }
        for event in candidate {
            (self.evolve_candidate)(&mut self.candidate, &event);
        }
        Ok(())
    }
}

/// Folds the stream to its end, page by page.
pub(super) async fn compare_stream<A, C, P, Q>(
    store: &dyn EventStore,
    stream: StreamId,
    page: PageLimit,
    mut pair: Pair<A, C, P, Q>,
) -> Result<Compared, ReplayError>
where
    A: Aggregate + Serialize,
    C: Aggregate + Serialize,
    P: Fn(&mut A, &A::Event) + Send,
    Q: Fn(&mut C, &C::Event) + Send,
{
    let mut read = Some(ReadStream::new(stream.clone()).limit(page));
    let mut version = StreamVersion::EMPTY;
    while let Some(next) = read {
        let page = store.read_stream(&next).await?;
        for event in &page.events {
            if event.version != version.next() {
                let verdict = Verdict::Gap { version: version.next(), next: event.version };
                return Ok(Compared { stream, version, verdict });
            }
            if let Err((by, source)) = pair.take(event) {
                let verdict = Verdict::Unreadable { by, version: event.version, source };
                return Ok(Compared { stream, version, verdict });
            }
            version = event.version;
        }
        read = next.after(&page);
    }
    let present = json_of(&pair.present, &stream, Logic::Present)?;
    let candidate = json_of(&pair.candidate, &stream, Logic::Candidate)?;
    let differences = differences(&present, &candidate);
    let verdict = match differences.is_empty() {
        true => Verdict::Same,
        false => Verdict::Differs(differences),
    };
    Ok(Compared { stream, version, verdict })
}

fn json_of(
    state: &impl Serialize,
    stream: &StreamId,
    logic: Logic,
) -> Result<Payload, ReplayError> {
    let stream = stream.clone();
    Payload::of(state).map_err(|source| ReplayError::Json { stream, logic, source })
}
