-- $1 event ids, $2 aggregate type, $3 aggregate ids, $4 versions before, $5 event types, $6 event data,
-- $7 metadata
INSERT INTO events (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata, created_at)
SELECT event_id, $2, aggregate_id, before + 1, event_type, event_data, metadata, now()
FROM unnest($1, $3, $4, $5, $6, $7) e (event_id, aggregate_id, before, event_type, event_data, metadata)
