-- the columns and unique keys of es-sqlite's table, without its constraints and triggers
CREATE TABLE execution_events (
    position INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    aggregate_type TEXT NOT NULL,
    aggregate_id TEXT NOT NULL,
    aggregate_version INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    created_at TEXT NOT NULL,
    metadata TEXT,
    event_data TEXT NOT NULL,
    UNIQUE (aggregate_id, aggregate_type, aggregate_version)
) STRICT
