-- $1 event type, $2 aggregate, $3 data, $4 metadata, $5 aggregate type, $6 idempotency key, $7 version,
-- $8 columns of the old row, or null
SELECT w.event_id, w.aggregate_version, w.position
FROM "{schema}".dual_write(
    event_type => $1,
    aggregate_id => $2,
    event_data => $3::jsonb,
    metadata => $4::jsonb,
    aggregate_type => $5,
    idempotency_key => $6,
    aggregate_version => $7,
    old_row => $8::jsonb
) w
