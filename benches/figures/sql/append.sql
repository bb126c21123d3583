-- $1 event ids, $2 aggregate type, $3 aggregate id, $4 version before the first, $5 event types,
-- $6 event data, $7 metadata
INSERT INTO events (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata, created_at)
SELECT event_id, $2, $3, $4 + number, event_type, event_data, metadata, now()
FROM unnest($1, $5, $6, $7) WITH ORDINALITY e (event_id, event_type, event_data, metadata, number)
