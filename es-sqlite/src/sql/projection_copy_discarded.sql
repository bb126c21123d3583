-- ?1 generation, ?2 projection whose active model has them
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
SELECT
    ?1,
    p.position,
    p.key,
    p.event_id,
    p.aggregate_type,
    p.aggregate_id,
    p.aggregate_version,
    p.reason,
    p.attempts,
    p.parked_at,
    p.state,
    p.discard_reason,
    p.discarded_at
FROM projection_models m
JOIN projection_parked p ON p.generation = m.generation
WHERE m.projection = ?2
    AND m.slot = 'active'
    AND m.generation <> ?1
    AND p.state = 'discarded'
