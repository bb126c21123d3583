-- Stream by stream, so that two batches take their locks in the same order and cannot wait for one
-- another; within a stream in the order of the arguments, and the answer is in that order altogether.
-- As JSON, because in an array it depends on a setting of the server what NULL is.
SELECT {event_columns}
FROM (
    SELECT b.*
    FROM json_to_recordset(%(events)s::json) b (
        number int, name text, id int, data json, about json, kind text, key text, version int
    )
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
