-- $1 generation, $2 epoch, $3 slot, $4 microseconds, $5 rate, $6 limit; no row if the
-- lease was lost. Each key is looked at once, however much waits under it: those that are due are
-- read by themselves (OFFSET 0), or else all that is parked would be, in the order of its keys
WITH leased AS (
    UPDATE "{schema}"."{events}_projection_models" m
    SET expires_at = CASE
        WHEN m.holder IS NOT NULL
        THEN "{schema}"."{events}_projection_now"() + $4::bigint * INTERVAL '1 microsecond'
    END,
    rate = $5,
    rate_epoch = m.epoch
    WHERE m.generation = $1
        AND m.epoch = $2
        AND m.slot = $3
    RETURNING m.generation
)
SELECT due.key
FROM leased
LEFT JOIN LATERAL (
    SELECT k.key
    FROM (
        SELECT DISTINCT d.key
        FROM (
            SELECT p.key
            FROM "{schema}"."{events}_projection_parked" p
            WHERE p.generation = leased.generation
                AND p.state = 'due'
            OFFSET 0
        ) d
    ) k
    WHERE 'due' = (
        SELECT f.state
        FROM "{schema}"."{events}_projection_parked" f
        WHERE f.generation = leased.generation
            AND f.key = k.key
            AND f.state <> 'discarded'
        ORDER BY f.position
        LIMIT 1
    )
    LIMIT $6
) due ON TRUE
