-- ?1 aggregate type, ?2 aggregate id, ?3 version, ?4 schema, ?5 created at, ?6 state, ?7 last event
INSERT INTO snapshots (
    aggregate_type,
    aggregate_id,
    aggregate_version,
    schema,
    created_at,
    state,
    last_event_id
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (aggregate_id, aggregate_type, aggregate_version) DO UPDATE
SET schema = excluded.schema,
    created_at = excluded.created_at,
    state = excluded.state,
    last_event_id = excluded.last_event_id
