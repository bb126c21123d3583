-- The events of one keyed append stand side by side in the log, so its positions say which they
-- are, over all its streams.
CREATE TABLE idempotency_keys (
    aggregate_type TEXT NOT NULL,
    aggregate_id TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    first_position INTEGER NOT NULL,
    last_position INTEGER NOT NULL,

    PRIMARY KEY (aggregate_id, aggregate_type, idempotency_key)
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 3;
