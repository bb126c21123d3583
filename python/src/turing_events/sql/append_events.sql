-- Stream by stream, so that two batches take their locks in the same order and cannot wait for one
-- another; within a stream in the order of the arguments, and the answer is in that order altogether.
SELECT {event_columns}
FROM (
    SELECT b.*
    FROM unnest(
        %(event_type)s::text[],
        %(aggregate_id)s::int[],
        %(event_data)s::text[],
        %(metadata)s::text[],
        %(aggregate_type)s::text[],
        %(idempotency_key)s::text[],
        %(aggregate_version)s::int[]
    ) WITH ORDINALITY b (name, id, data, about, kind, key, version, number)
    ORDER BY b.kind COLLATE "C", b.id, b.number
) b
CROSS JOIN LATERAL {schema}.append_event(
    event_type => b.name,
    aggregate_id => b.id,
    event_data => b.data::jsonb,
    metadata => b.about::jsonb,
    aggregate_type => b.kind,
    idempotency_key => b.key,
    aggregate_version => b.version
) e
ORDER BY b.number
