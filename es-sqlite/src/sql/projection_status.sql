-- ?1 projection, null for all
SELECT
    m.projection,
    m.slot,
    m.generation,
    m.fingerprint,
    m.holder,
    m.expires_at,
    m.rate,
    m.events,
    m.committed_at,
    m.trouble,
    m.trouble_at,
    (
        SELECT count(*)
        FROM projection_parked p
        WHERE p.generation = m.generation
            AND p.state <> 'discarded'
    ) AS waiting,
    (
        SELECT count(*)
        FROM projection_parked p
        WHERE p.generation = m.generation
            AND p.state = 'discarded'
    ) AS discarded
FROM projection_models m
WHERE ?1 IS NULL
    OR m.projection = ?1
ORDER BY m.projection, m.slot
