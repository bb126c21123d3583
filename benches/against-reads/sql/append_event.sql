-- $1 event type, $2 posting, $3 data, $4 metadata
SELECT aggregate_version
FROM append_event($1, $2, $3, $4)
