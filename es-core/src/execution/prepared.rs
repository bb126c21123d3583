//! A decision that is ready to be appended, in a transaction of the application's own.

use std::fmt;
use std::sync::Arc;

use super::decided::Decided;
use super::members::{Finishing, Members};
use super::run::Made;
use crate::append::{AppendError, AppendRequest, Appended, IdempotencyKey, InvalidRequest};
use crate::error::ErrorKind;
use crate::reaction::Occasion;
use crate::store::StoreIdentity;
use crate::stream::StreamId;

/// A decision that was carried out up to its append: loaded, decided, encoded and read back.
///
/// [`Decision::prepare`](crate::execution::Decision::prepare) makes one, and a backend appends it
/// within a transaction that may still be rolled back. So it feeds neither the cache nor the
/// snapshots of its repositories. The append is the backend's own: a [layer](crate::layer) around
/// the store does not see it, and past a [tenant](crate::layer::scoped()) it is refused.
#[must_use = "what is prepared is written when it is appended"]
pub struct Prepared<M: Members, T = ()> {
    pub(super) members: M,
    /// Which store it is for, with the first of its streams; `None` if there are no members.
    pub(super) home: Option<(StreamId, StoreIdentity)>,
    /// What was decided on what; else the key that has recorded a result already.
    pub(super) made: Result<(M::Known, Made<M, T>), IdempotencyKey>,
    pub(super) reacting: Option<Reacting>,
}

/// A reaction that has decided on these streams: it decides on none of them again under this key, but for
/// preparing this one again before it is appended.
pub(super) struct Reacting {
    pub(super) occasion: Arc<Occasion>,
    pub(super) key: IdempotencyKey,
    pub(super) streams: Vec<StreamId>,
}

impl Reacting {
    pub(super) fn finish(&self) -> Result<(), InvalidRequest> {
        self.occasion.finish(&self.key, &Vec::from_iter(&self.streams))
    }
}

impl<M: Members, T> Prepared<M, T> {
    /// What the decision answered; `None` if its key is recorded already, so that nothing was decided.
    pub fn reply(&self) -> Option<&T> {
        self.made.as_ref().ok().map(|(_, made)| &made.reply)
    }

    /// The events that were decided, in the shape of the members; `None` as in [`reply`](Self::reply).
    ///
    /// Where there are none, nothing records the key, and what stands beside them in the transaction is
    /// written each time it is sent.
    pub fn events(&self) -> Option<&M::Events> {
        self.made.as_ref().ok().map(|(_, made)| &made.events)
    }

    /// For backends, before they append: what to append to this store, as it is and within the
    /// transaction; `None` if there is nothing to append.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest::OtherStore`] if it was prepared for another store, or for a tenant of this one;
    /// [`NotAppended::Repeated`] if the key was recorded before.
    pub fn request_for(
        &self,
        store: &StoreIdentity,
    ) -> Result<Option<&AppendRequest>, NotAppended> {
        if let Some((stream, home)) = &self.home
            && home != store
        {
            let stream = stream.clone();
            return Err(AppendError::from(InvalidRequest::OtherStore { stream }).into());
        }
        match &self.made {
            Ok((_, made)) => Ok(made.request.as_ref()),
            Err(key) => Err(NotAppended::Repeated { key: key.clone() }),
        }
    }

    /// For backends, after they appended: the answer to the decision. `appended` is the answer to the
    /// append, if there was something to append.
    ///
    /// # Errors
    ///
    /// [`NotAppended::Repeated`] if the append was a repeat; [`InvalidRequest::KeyTwice`] if the reaction
    /// that decides has had another decision appended since.
    pub fn finish(self, appended: Option<Appended>) -> Result<Decided<M, T>, NotAppended> {
        let (known, made) = self.made.map_err(|key| NotAppended::Repeated { key })?;
        if let Some(reacting) = &self.reacting {
            reacting.finish().map_err(AppendError::from)?;
        }
        let Made { events, reply, cause, request, .. } = made;
        if appended.as_ref().is_some_and(|appended| appended.repeated)
            && let Some(key) = request.as_ref().and_then(AppendRequest::idempotency_key)
        {
            return Err(NotAppended::Repeated { key: key.clone() });
        }
        let finishing = Finishing { appended: appended.as_ref(), is_certain: false };
        let (state, version) = self.members.finish(known, &events, &finishing);
        Ok(Decided { state, version, events, reply: Some(reply), appended, cause })
    }
}

impl<M: Members, T> fmt::Debug for Prepared<M, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let request = self.made.as_ref().map(|(_, made)| &made.request);
        f.debug_struct("Prepared").field("request", &request).finish_non_exhaustive()
    }
}

/// Why a prepared decision was not appended; nothing of it was written.
///
/// Whoever began the transaction undoes what else was written in it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum NotAppended {
    /// The append was refused.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// What is to be done was done before. It is an error here, so that what belongs to it is not written
    /// twice; who wants the first result awaits the same decision instead.
    #[error("idempotency key `{key}` was used before, so what it names is done already")]
    Repeated {
        /// The key.
        key: IdempotencyKey,
    },
}

impl NotAppended {
    /// What it means for whoever asked. `Repeated` is [`AlreadyExists`](ErrorKind::AlreadyExists).
    pub fn kind(&self) -> ErrorKind {
        match self {
            // who was quicker under the same key may have been the same command
            Self::Append(AppendError::KeyReused { .. }) => ErrorKind::Conflict,
            Self::Append(error) => error.kind(),
            Self::Repeated { .. } => ErrorKind::AlreadyExists,
        }
    }

    /// True if the whole is to be done again, with a decision that is prepared anew, in another
    /// transaction: after a conflict, or after a failure that passes and certainly wrote nothing.
    ///
    /// A conflict is also a [`KeyReused`](AppendError::KeyReused) of the append: prepared again, the
    /// decision looks whether the key names the same command, which was quicker, or another one.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind(), ErrorKind::Conflict | ErrorKind::Unavailable)
    }
}
