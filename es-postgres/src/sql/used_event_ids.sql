-- $1 event ids
SELECT e.event_id
FROM "{schema}"."{events}" e
WHERE e.event_id = ANY ($1)
