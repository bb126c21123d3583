-- A cache: emptying it changes no answer.
CREATE TABLE snapshots (
    aggregate_type TEXT NOT NULL,
    aggregate_id TEXT NOT NULL,
    aggregate_version INTEGER NOT NULL,
    schema TEXT NOT NULL,
    created_at TEXT NOT NULL,
    state TEXT NOT NULL,

    PRIMARY KEY (aggregate_id, aggregate_type, aggregate_version)
) STRICT;

PRAGMA user_version = 4;
