-- the highest position that was given, and the highest that is there
SELECT
    seq,
    (SELECT coalesce(max(position), 0) FROM execution_events)
FROM sqlite_sequence
WHERE name = 'execution_events'
