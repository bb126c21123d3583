-- whether an index of the events has another number of entries than there are events; sum() makes
-- SQLite go through what it is told to
WITH counted AS MATERIALIZED (
    SELECT coalesce(sum(1), 0) AS events
    FROM execution_events NOT INDEXED
)
SELECT
    events IS NOT (
        SELECT coalesce(sum(1), 0)
        FROM execution_events INDEXED BY sqlite_autoindex_execution_events_1
    )
    OR events IS NOT (
        SELECT coalesce(sum(1), 0)
        FROM execution_events INDEXED BY sqlite_autoindex_execution_events_2
    )
FROM counted
