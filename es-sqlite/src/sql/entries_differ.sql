-- whether an index of the events has another number of entries than there are events; sum() makes
-- SQLite go through what it is told to
SELECT
    (SELECT coalesce(sum(1), 0) FROM execution_events NOT INDEXED) IS NOT (
        SELECT coalesce(sum(1), 0)
        FROM execution_events INDEXED BY sqlite_autoindex_execution_events_1
    )
    OR (SELECT coalesce(sum(1), 0) FROM execution_events NOT INDEXED) IS NOT (
        SELECT coalesce(sum(1), 0)
        FROM execution_events INDEXED BY sqlite_autoindex_execution_events_2
    )
