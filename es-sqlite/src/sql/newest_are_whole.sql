-- ?1 how many of the newest positions to look at: how many of them have no event, and how many of
-- their events an index does not know at their place
WITH reach AS (
    SELECT max(position) AS last, max(max(position) - ?1, 0) AS before
    FROM execution_events
)
SELECT
    coalesce(reach.last - reach.before, 0) - count(n.position),
    count(n.position) FILTER (
        WHERE NOT EXISTS (
            SELECT 1
            FROM execution_events AS e INDEXED BY sqlite_autoindex_execution_events_1
            WHERE e.event_id IS n.event_id
                AND e.position = n.position
        )
        OR NOT EXISTS (
            SELECT 1
            FROM execution_events AS e INDEXED BY sqlite_autoindex_execution_events_2
            WHERE e.aggregate_id IS n.aggregate_id
                AND e.aggregate_type IS n.aggregate_type
                AND e.aggregate_version IS n.aggregate_version
                AND e.position = n.position
        )
    )
FROM reach LEFT JOIN execution_events AS n ON n.position > reach.before
