-- ?1 how many of the newest positions to look at: how many of them have no event, and how many of
-- their events an index does not know, or have no event before them in their stream
WITH reach AS (
    SELECT max(position) AS last, max(max(position) - ?1, 0) AS before
    FROM execution_events
)
SELECT
    coalesce(reach.last - reach.before, 0) - count(n.position),
    count(n.position) FILTER (
        WHERE (
            SELECT e.position
            FROM execution_events AS e INDEXED BY sqlite_autoindex_execution_events_1
            WHERE e.event_id = n.event_id
        ) IS NOT n.position
        OR (
            SELECT e.position
            FROM execution_events AS e INDEXED BY sqlite_autoindex_execution_events_2
            WHERE e.aggregate_id = n.aggregate_id
                AND e.aggregate_type = n.aggregate_type
                AND e.aggregate_version = n.aggregate_version
        ) IS NOT n.position
        OR n.aggregate_version > 1 AND NOT EXISTS (
            SELECT 1
            FROM execution_events AS e
            WHERE e.position = (
                SELECT f.position
                FROM execution_events AS f INDEXED BY sqlite_autoindex_execution_events_2
                WHERE f.aggregate_id = n.aggregate_id
                    AND f.aggregate_type = n.aggregate_type
                    AND f.aggregate_version = n.aggregate_version - 1
            )
        )
    )
FROM reach LEFT JOIN execution_events AS n ON n.position > reach.before
