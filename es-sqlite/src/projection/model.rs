//! Models: who has them, which is served, and what becomes of them.

use es_core::backend::rules::{Acquired, Model};
use es_core::backend::{Claim, Lease, Renewal, Renewed, SinkError, Slot, StoreError, Timestamp};
use es_core::projection::{Holder, ParkedId};
use rusqlite::{Connection, params};

use super::commit::{WRITING, execute, number};
use super::read::{due, generation, models};
use crate::error::Doing;
use crate::row::time_text;
use crate::sql;

/// Takes the lease of a model, which is made if there is none.
pub(super) fn acquire(
    connection: &Connection,
    claim: &Claim,
    now: Timestamp,
) -> Result<Lease, SinkError> {
    let models = models(connection, &claim.projection, &[claim.slot])?;
    let model = match models.acquire(claim, now)? {
        Acquired::Taken(model) => model,
        Acquired::Created { model, retired } => {
            if let Some(retired) = retired {
                retire(connection, retired)?;
            }
            create(connection, claim, model)?
        }
    };
    take(connection, &model)?;
    Ok(model.lease(claim))
}

/// Makes a model; answers it with its generation.
fn create(connection: &Connection, claim: &Claim, model: Model) -> Result<Model, StoreError> {
    let values = params![claim.projection, claim.slot.as_str(), model.fingerprint];
    let generation: i64 = connection
        .prepare_cached(sql::PROJECTION_CREATE_MODEL)
        .and_then(|mut statement| statement.query_row(values, |row| row.get(0)))
        .doing(connection, WRITING)?;
    for (slice, _) in (0_u32..).zip(&model.checkpoints) {
        execute(connection, sql::PROJECTION_CREATE_SLICE, params![generation, slice])?;
    }
    let values = params![generation, claim.projection];
    execute(connection, sql::PROJECTION_COPY_DISCARDED, values)?;
    Ok(Model { generation: generation.max(0).unsigned_abs(), ..model })
}

/// Writes down who has a model; the statement counts its epoch on.
fn take(connection: &Connection, model: &Model) -> Result<(), StoreError> {
    let holder = model.holder.as_ref();
    let values = params![
        number(model.generation),
        holder.map(|holder| &holder.name),
        holder.map(|holder| time_text(holder.expires_at)),
    ];
    connection
        .prepare_cached(sql::PROJECTION_TAKE_LEASE)
        .and_then(|mut statement| statement.query_row(values, |_| Ok(())))
        .doing(connection, WRITING)
}

/// Takes a model away from everybody; its rows and what was parked are removed afterwards.
fn retire(connection: &Connection, generation: u64) -> Result<(), StoreError> {
    for statement in [sql::PROJECTION_DROP_SLICES, sql::PROJECTION_DROP_MODEL] {
        execute(connection, statement, [number(generation)])?;
    }
    Ok(())
}

pub(super) fn renew(
    connection: &Connection,
    lease: &Lease,
    renewal: Renewal,
    now: Timestamp,
) -> Result<Renewed, SinkError> {
    let models = models(connection, &lease.projection, &[lease.slot])?;
    let generation = number(lease.generation);
    if let Some(Holder { expires_at, rate, .. }) = models.renew(lease, &renewal, now)? {
        let values = params![generation, time_text(expires_at), rate];
        execute(connection, sql::PROJECTION_RENEW_LEASE, values)?;
    }
    Ok(Renewed { due: due(connection, generation, renewal.limit)? })
}

pub(super) fn release(connection: &Connection, lease: &Lease) -> Result<(), SinkError> {
    if models(connection, &lease.projection, &[lease.slot])?.leased(lease).is_ok() {
        execute(connection, sql::PROJECTION_RELEASE_LEASE, [number(lease.generation)])?;
    }
    Ok(())
}

/// Ends the lease that appends have on the active model.
pub(super) fn release_inline(connection: &Connection, projection: &str) -> Result<(), SinkError> {
    let models = models(connection, projection, &[Slot::Active])?;
    if let Some(released) = models.release_inline(projection)? {
        let values = params![number(released.generation), Claim::APPENDS];
        execute(connection, sql::PROJECTION_RELEASE_INLINE, values)?;
    }
    Ok(())
}

pub(super) fn report(
    connection: &Connection,
    lease: &Lease,
    trouble: Option<&str>,
    now: Timestamp,
) -> Result<(), SinkError> {
    models(connection, &lease.projection, &[lease.slot])?.leased(lease)?;
    let values = params![number(lease.generation), trouble, trouble.map(|_| time_text(now))];
    execute(connection, sql::PROJECTION_REPORT, values)?;
    Ok(())
}

/// Makes the shadow the active model.
pub(super) fn switch(connection: &Connection, lease: &Lease) -> Result<(), SinkError> {
    let models = models(connection, &lease.projection, &[Slot::Active, Slot::Shadow])?;
    let switched = models.switch(lease)?;
    if let Some(retired) = switched.retired {
        retire(connection, retired)?;
    }
    for statement in [sql::PROJECTION_ACTIVATE, sql::PROJECTION_JOIN_SLICES] {
        execute(connection, statement, [number(switched.served.generation)])?;
    }
    Ok(())
}

/// Removes the shadow.
pub(super) fn abandon(
    connection: &Connection,
    projection: &str,
    now: Timestamp,
) -> Result<(), SinkError> {
    let models = models(connection, projection, &[Slot::Shadow])?;
    Ok(retire(connection, models.abandon(projection, now)?)?)
}

/// Makes the first waiting entry of a key due.
pub(super) fn request_retry(
    connection: &Connection,
    projection: &str,
    slot: Slot,
    key: &str,
) -> Result<(), SinkError> {
    let generation = generation(connection, projection, slot)?;
    let values = params![generation, key];
    match execute(connection, sql::PROJECTION_REQUEST_RETRY, values)? {
        0 => Err(nothing_parked(projection, key)),
        _ => Ok(()),
    }
}

/// Keeps an entry as one that does not wait.
pub(super) fn discard(
    connection: &Connection,
    projection: &str,
    slot: Slot,
    entry: &ParkedId,
    reason: &str,
    now: Timestamp,
) -> Result<(), SinkError> {
    let generation = generation(connection, projection, slot)?;
    let position = number(entry.position.to_sequence());
    let values = params![generation, position, entry.key, reason, time_text(now)];
    match execute(connection, sql::PROJECTION_DISCARD, values)? {
        0 => Err(nothing_parked(projection, &entry.key)),
        _ => Ok(()),
    }
}

fn nothing_parked(projection: &str, key: &str) -> SinkError {
    SinkError::NothingParked { projection: projection.to_owned(), key: key.to_owned() }
}
