-- $1 projection, $2 slot, $3 waiting only, $4 position before, $5 key before, $6 limit; no row if
-- there is no model
SELECT
    p.position,
    p.event_id,
    p.aggregate_type,
    p.aggregate_id,
    p.aggregate_version,
    p.key,
    p.reason,
    p.attempts,
    p.parked_at,
    p.state,
    p.discard_reason,
    p.discarded_at
FROM "{schema}"."{events}_projection_models" m
LEFT JOIN LATERAL (
    SELECT n.*
    FROM "{schema}"."{events}_projection_parked" n
    WHERE n.generation = m.generation
        AND n.position >= 0
        AND (n.position, n.key) > ($4, $5)
        AND NOT ($3 AND n.state = 'discarded')
    ORDER BY n.position, n.key
    LIMIT $6
) p ON TRUE
WHERE m.projection = $1
    AND m.slot = $2
ORDER BY p.position, p.key
