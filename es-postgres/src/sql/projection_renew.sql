-- $1 generation, $2 epoch, $3 slot, $4 microseconds, $5 rate; no row if the lease was lost
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
    SELECT p.key
    FROM "{schema}"."{events}_projection_parked" p
    WHERE p.generation = leased.generation
        AND p.state = 'due'
        AND NOT EXISTS (
            SELECT
            FROM "{schema}"."{events}_projection_parked" e
            WHERE e.generation = p.generation
                AND e.key = p.key
                AND e.position < p.position
                AND e.state <> 'discarded'
        )
) due ON TRUE
