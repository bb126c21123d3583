//! Models: who has them, which is served, and what becomes of them.

use es_core::projection::{Claim, Holder, Lease, ParkedId, Renewal, Renewed, SinkError, Slot};
use es_core::{Position, StoreError, Timestamp};
use rusqlite::{Connection, params};

use super::commit::{WRITING, execute, leased, lost, number};
use super::read::{checkpoints, due, find, generation};
use crate::error::Doing;
use crate::row::time_text;
use crate::sql;

/// Takes the lease of a model, which is made if there is none.
pub(super) fn acquire(
    connection: &Connection,
    claim: &Claim,
    now: Timestamp,
) -> Result<Lease, SinkError> {
    let found = find(connection, &claim.projection, claim.slot)?;
    let generation = match found {
        Some(found) => {
            let holder = found.holder.filter(|holder| holder.has_lease(now));
            if let Some(other) = holder.filter(|holder| holder.name != claim.holder) {
                return Err(held(&claim.projection, claim.slot, other));
            }
            match claim.slot {
                _ if found.fingerprint == claim.fingerprint => found.generation,
                Slot::Active => {
                    return Err(SinkError::Changed {
                        projection: claim.projection.clone(),
                        stored: found.fingerprint,
                        offered: claim.fingerprint.clone(),
                    });
                }
                Slot::Shadow => {
                    retire(connection, found.generation)?;
                    create(connection, claim)?
                }
            }
        }
        None => create(connection, claim)?,
    };
    let expires_at = time_text(now.plus(claim.lasts_for()));
    let epoch: i64 = connection
        .prepare_cached(sql::PROJECTION_TAKE_LEASE)
        .and_then(|mut statement| {
            let values = params![generation, claim.holder, expires_at];
            statement.query_row(values, |row| row.get(0))
        })
        .doing(connection, WRITING)?;
    Ok(Lease {
        projection: claim.projection.clone(),
        slot: claim.slot,
        generation: generation.max(0).unsigned_abs(),
        epoch: epoch.max(0).unsigned_abs(),
        checkpoints: checkpoints(connection, generation)?,
    })
}

fn create(connection: &Connection, claim: &Claim) -> Result<i64, StoreError> {
    let values = params![claim.projection, claim.slot.as_str(), claim.fingerprint];
    let generation: i64 = connection
        .prepare_cached(sql::PROJECTION_CREATE_MODEL)
        .and_then(|mut statement| statement.query_row(values, |row| row.get(0)))
        .doing(connection, WRITING)?;
    let slices = match claim.slot {
        Slot::Active => 1,
        Slot::Shadow => claim.slices.max(1),
    };
    for slice in 0..slices {
        execute(connection, sql::PROJECTION_CREATE_SLICE, params![generation, slice])?;
    }
    let values = params![generation, claim.projection];
    execute(connection, sql::PROJECTION_COPY_DISCARDED, values)?;
    Ok(generation)
}

/// Takes a model away from everybody; its rows and what was parked are removed afterwards.
fn retire(connection: &Connection, generation: i64) -> Result<(), StoreError> {
    for statement in [sql::PROJECTION_DROP_SLICES, sql::PROJECTION_DROP_MODEL] {
        execute(connection, statement, [generation])?;
    }
    Ok(())
}

fn held(projection: &str, slot: Slot, holder: Holder) -> SinkError {
    let (projection, Holder { name: holder, expires_at, .. }) = (projection.to_owned(), holder);
    match slot {
        Slot::Active => SinkError::Held { projection, holder, expires_at },
        Slot::Shadow => SinkError::RebuildRunning { projection, holder, expires_at },
    }
}

pub(super) fn renew(
    connection: &Connection,
    lease: &Lease,
    renewal: Renewal,
    now: Timestamp,
) -> Result<Renewed, SinkError> {
    let generation = leased(connection, lease)?;
    let values = params![generation, time_text(now.plus(renewal.lasts_for())), renewal.rate];
    execute(connection, sql::PROJECTION_RENEW_LEASE, values)?;
    Ok(Renewed { due: due(connection, generation)? })
}

pub(super) fn release(connection: &Connection, lease: &Lease) -> Result<(), SinkError> {
    match leased(connection, lease) {
        Ok(generation) => {
            execute(connection, sql::PROJECTION_RELEASE_LEASE, [generation])?;
            Ok(())
        }
        Err(SinkError::LeaseLost { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Ends the lease that appends have on the active model.
pub(super) fn release_inline(connection: &Connection, projection: &str) -> Result<(), SinkError> {
    let generation = generation(connection, projection, Slot::Active)?;
    execute(connection, sql::PROJECTION_RELEASE_INLINE, params![generation, Claim::APPENDS])?;
    Ok(())
}

pub(super) fn report(
    connection: &Connection,
    lease: &Lease,
    trouble: Option<&str>,
    now: Timestamp,
) -> Result<(), SinkError> {
    let generation = leased(connection, lease)?;
    let values = params![generation, trouble, trouble.map(|_| time_text(now))];
    execute(connection, sql::PROJECTION_REPORT, values)?;
    Ok(())
}

/// Makes the shadow the active model.
pub(super) fn switch(connection: &Connection, lease: &Lease) -> Result<(), SinkError> {
    let generation = leased(connection, lease)?;
    if lease.slot != Slot::Shadow {
        return Err(lost(lease));
    }
    let active = find(connection, &lease.projection, Slot::Active)?;
    let slices = checkpoints(connection, generation)?;
    let served = match &active {
        Some(active) => checkpoints(connection, active.generation)?,
        None => Vec::new(),
    };
    let places = slices.iter().chain(&served).map(|checkpoint| checkpoint.position);
    let foremost = places.fold(Position::START, Position::merge);
    if let Some(behind) = slices.iter().find(|slice| slice.position < foremost) {
        return Err(SinkError::NotCaughtUp {
            projection: lease.projection.clone(),
            shadow: behind.position,
            active: foremost,
        });
    }
    if let Some(active) = active {
        retire(connection, active.generation)?;
    }
    execute(connection, sql::PROJECTION_ACTIVATE, [generation])?;
    execute(connection, sql::PROJECTION_JOIN_SLICES, [generation])?;
    Ok(())
}

/// Removes the shadow.
pub(super) fn abandon(
    connection: &Connection,
    projection: &str,
    now: Timestamp,
) -> Result<(), SinkError> {
    let slot = Slot::Shadow;
    let Some(shadow) = find(connection, projection, slot)? else {
        return Err(SinkError::NoModel { projection: projection.to_owned(), slot });
    };
    if let Some(holder) = shadow.holder.filter(|holder| holder.has_lease(now)) {
        return Err(held(projection, slot, holder));
    }
    Ok(retire(connection, shadow.generation)?)
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
