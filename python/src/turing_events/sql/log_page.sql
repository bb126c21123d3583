-- So many events, or fewer if they have more bytes than wanted; one in any case.
SELECT
    position, event_id, aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata,
    created_at, idempotency_key
FROM (
    SELECT p.*, sum(p.size) OVER (ORDER BY p.position) - p.size AS before
    FROM (
        SELECT e.*, octet_length(e.event_data) + coalesce(octet_length(e.metadata), 0) AS size
        FROM (
            SELECT {event_columns}
            FROM {schema}.execution_events
            WHERE position > %(after)s::bigint
                AND position <= %(last)s::bigint
            ORDER BY position
            LIMIT %(events)s::int
        ) e
    ) p
) p
WHERE before < %(bytes)s::bigint
ORDER BY position
