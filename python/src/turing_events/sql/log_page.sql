-- So many events, or fewer if they have more bytes than wanted; one in any case.
SELECT
    position, event_id, aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata,
    created_at, idempotency_key
FROM (
    SELECT p.*, sum(octet_length(p.event_data)) OVER (ORDER BY p.position) - octet_length(p.event_data) AS before
    FROM (
        SELECT {event_columns}
        FROM {schema}.execution_events
        WHERE position > %(after)s::bigint
            AND position <= %(last)s::bigint
        ORDER BY position
        LIMIT %(events)s::int
    ) p
) p
WHERE before < %(bytes)s::bigint
ORDER BY position
