-- So many events, or fewer if they have more bytes than wanted; one in any case.
SELECT
    position, event_id, aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata,
    created_at, idempotency_key
FROM (
    SELECT p.*, sum(p.size) OVER (ORDER BY p.aggregate_version) - p.size AS before
    FROM (
        SELECT e.*, octet_length(e.event_data) + coalesce(octet_length(e.metadata), 0) AS size
        FROM (
            SELECT {event_columns}
            FROM {schema}.execution_events
            WHERE aggregate_type = %(aggregate_type)s::text
                AND aggregate_id = %(aggregate_id)s::int
                AND aggregate_version > %(after_version)s::int
            ORDER BY aggregate_version
            LIMIT %(events)s::int
        ) e
    ) p
) p
WHERE before < %(bytes)s::bigint
ORDER BY aggregate_version
