-- ?1 generation, ?2 position, ?3 key, ?4 event id, ?5 aggregate type, ?6 aggregate id,
-- ?7 aggregate version, ?8 reason, ?9 attempts, ?10 parked at, ?11 state, ?12 reason of discarding,
-- ?13 discarded at
INSERT INTO projection_parked (
    generation,
    position,
    key,
    event_id,
    aggregate_type,
    aggregate_id,
    aggregate_version,
    reason,
    attempts,
    parked_at,
    state,
    discard_reason,
    discarded_at
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
ON CONFLICT (generation, key, position) DO UPDATE
SET event_id = excluded.event_id,
    aggregate_type = excluded.aggregate_type,
    aggregate_id = excluded.aggregate_id,
    aggregate_version = excluded.aggregate_version,
    reason = excluded.reason,
    attempts = excluded.attempts,
    parked_at = excluded.parked_at,
    state = excluded.state,
    discard_reason = excluded.discard_reason,
    discarded_at = excluded.discarded_at
