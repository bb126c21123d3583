INSERT INTO execution_events (
    event_id,
    aggregate_type,
    aggregate_id,
    aggregate_version,
    event_type,
    created_at,
    metadata,
    event_data
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
