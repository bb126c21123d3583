-- $1 aggregate id, $2 version, $3 schema, $4 taken at, $5 state, $6 last event
INSERT INTO "{schema}"."{snapshots}" (
    "{snapshot_id}",
    "{snapshot_version}",
    "{snapshot_schema}",
    "{snapshot_taken_at}",
    "{snapshot_state}",
    "{snapshot_event}"
)
VALUES ($1, $2::bigint, $3, $4, $5, $6)
ON CONFLICT ("{snapshot_id}", "{snapshot_version}") DO UPDATE
SET "{snapshot_schema}" = excluded."{snapshot_schema}",
    "{snapshot_taken_at}" = excluded."{snapshot_taken_at}",
    "{snapshot_state}" = excluded."{snapshot_state}",
    "{snapshot_event}" = excluded."{snapshot_event}"
