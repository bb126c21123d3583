//! History of another system, on its way into a stream with the times at which it happened there.

use std::convert::Infallible;

use futures_util::future::BoxFuture;

use super::attempts::Attempts;
use super::error::CommandError;
use super::members::Member;
use crate::aggregate::Aggregate;
use crate::append::{AppendError, AppendRequest, IdempotencyKey, InvalidRequest};
use crate::envelope::{EventId, NewEvent};
use crate::limits::Limits;
use crate::metadata::Metadata;
use crate::repository::{EncodeFailure, Repository, encode_event};
use crate::timestamp::Timestamp;
use crate::version::{ExpectedVersion, StreamVersion};

/// An event that happened in another system, with what is known of it, for [`Member::import`].
#[derive(Debug, Clone, PartialEq)]
pub struct Imported<E> {
    event: E,
    recorded_at: Timestamp,
    event_id: Option<EventId>,
    metadata: Metadata,
}

impl<E> Imported<E> {
    /// An event, and when it happened there.
    pub fn new(event: E, recorded_at: Timestamp) -> Self {
        Self { event, recorded_at, event_id: None, metadata: Metadata::default() }
    }

    /// The id that it has there, so that what names it as its cause names it still; else it gets a
    /// new one.
    #[must_use]
    pub fn event_id(self, event_id: EventId) -> Self {
        Self { event_id: Some(event_id), ..self }
    }

    /// What stands beside it, where the event itself sets none; it stands before the metadata of the
    /// repository. The schema version is that of the event as it is written now.
    #[must_use]
    pub fn metadata(self, metadata: Metadata) -> Self {
        Self { metadata, ..self }
    }
}

impl<A: Aggregate> Member<A> {
    /// Writes what happened to this aggregate in another system, oldest first, with the times at which
    /// it happened there, and answers the version with which the history ends.
    ///
    /// The events are those of today, encoded and read back before the first is written; names and
    /// payloads of the other system are read before, which [`Event::decode`](crate::Event::decode)
    /// does. Times are data and order nothing, and one that is still to come is refused.
    ///
    /// The stream must not exist, unless a version is [expected](Self::expecting) after which the
    /// history goes on. Events that follow one another at one time are one append, of a thousand at
    /// most; each append has the key `import/<first version>`. So the same import can be run again,
    /// after a crash, too: what is written already is passed over, whatever was written behind it
    /// since, and what is left follows. Events of another kind or payload in its place are refused
    /// ([`CommandError::KeyReused`]).
    ///
    /// ```
    /// # use es_core::backend::Timestamp;
    /// # use es_core::execution::Imported;
    /// # use es_core::{Aggregate, Event, Repository};
    /// # #[derive(Event)]
    /// # enum OrderEvent { OrderPlaced { cents: u64 }, OrderPaid }
    /// # use OrderEvent::*;
    /// # #[derive(Clone, Default)]
    /// # struct Order;
    /// # impl Aggregate for Order {
    /// #     const TYPE: &'static str = "order";
    /// #     type Id = String;
    /// #     type Event = OrderEvent;
    /// #     fn evolve(&mut self, _: &OrderEvent) {}
    /// # }
    /// # async fn example(orders: Repository<Order>) -> Result<(), Box<dyn std::error::Error>> {
    /// let placed: Timestamp = "2019-03-01T09:30:00Z".parse()?;
    /// let paid: Timestamp = "2019-03-04T15:00:00Z".parse()?;
    /// let history = [
    ///     Imported::new(OrderPlaced { cents: 700 }, placed),
    ///     Imported::new(OrderPaid, paid),
    /// ];
    /// let version = orders.by_id("o-1").import(history).await?;
    /// assert_eq!(version.as_u64(), 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`CommandError::PreconditionFailed`] if the stream exists, or others write to it meanwhile;
    /// [`InvalidRequest::TimeAhead`] for a time that the store's clock has not reached. What is too
    /// much for one append is refused as for every other: import it in parts, each expecting the
    /// version with which the one before ended. An error may leave the beginning of the history
    /// written, in whole appends.
    ///
    /// # Cancellation
    ///
    /// As an error.
    pub fn import(
        &self,
        history: impl IntoIterator<Item = Imported<A::Event>>,
    ) -> BoxFuture<'static, Result<StreamVersion, CommandError<Infallible>>> {
        let appends = self.appends_of(history);
        let repository = self.repository.clone();
        Box::pin(async move {
            let Appends { requests, end } = appends?;
            for request in requests {
                append(&repository, request).await?;
            }
            Ok(end)
        })
    }

    fn appends_of(
        &self,
        history: impl IntoIterator<Item = Imported<A::Event>>,
    ) -> Result<Appends, CommandError<Infallible>> {
        let stream = self.stream.clone().map_err(|error| CommandError::Invalid(error.into()))?;
        let mut end = match self.expected.clone().map_err(CommandError::Invalid)? {
            ExpectedVersion::Any | ExpectedVersion::NoStream => StreamVersion::EMPTY,
            ExpectedVersion::Exact(version) => version,
            ExpectedVersion::StreamExists => {
                return Err(CommandError::Invalid(InvalidRequest::ImportWithoutVersion { stream }));
            }
        };
        let most = Limits::default().events;
        let mut requests = Vec::new();
        let mut history = history.into_iter().peekable();
        while let Some(first) = history.peek() {
            let time = first.recorded_at;
            let (mut events, mut root) = (Vec::new(), None);
            while events.len() < most
                && let Some(imported) = history.next_if(|next| next.recorded_at == time)
            {
                events.push(self.encode_imported(imported, &mut root)?);
            }
            let expected = ExpectedVersion::Exact(end);
            let key = IdempotencyKey::new(&format!("import/{}", end.next()));
            let key = key.expect("it is short and has no control characters");
            end = end.plus(events.len() as u64);
            let request = AppendRequest::to(stream.clone(), expected, events);
            requests.push(request.with_key(key).recorded_at(time));
        }
        Ok(Appends { requests, end })
    }

    /// The event as it is stored; `root` is the correlation of the first of its append.
    fn encode_imported(
        &self,
        imported: Imported<A::Event>,
        root: &mut Option<String>,
    ) -> Result<NewEvent, EncodeFailure> {
        let Imported { event, event_id, metadata: mut base, .. } = imported;
        base.fill_from(self.repository.base());
        let environment = self.repository.environment();
        Ok(encode_event(&event, event_id, &mut base, root, environment)?.0)
    }
}

/// A history, append by append.
struct Appends {
    requests: Vec<AppendRequest>,
    /// The version of the stream after the last of them.
    end: StreamVersion,
}

/// Writes a part of a history, or finds it written.
async fn append<A: Aggregate>(
    repository: &Repository<A>,
    request: AppendRequest,
) -> Result<(), CommandError<Infallible>> {
    let mut attempts = Attempts::new(repository.retry(), true, repository.environment());
    let result = loop {
        let error = match repository.store().append(request.clone()).await {
            Ok(_) => break Ok(()),
            // a part is never put behind what it does not follow
            Err(AppendError::Conflict(conflict)) => CommandError::PreconditionFailed(conflict),
            Err(error) => error.into(),
        };
        if let Err(last) = attempts.next(error).await {
            break Err(last);
        }
    };
    attempts.judge(result)
}
