-- ?1 generation
SELECT
    position,
    event_position,
    event_id,
    aggregate_type,
    aggregate_id,
    aggregate_version
FROM projection_slices
WHERE generation = ?1
ORDER BY slice
