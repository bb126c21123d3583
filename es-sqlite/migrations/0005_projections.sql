-- One model of a projection: the active one is served, the shadow is being filled by a rebuild.
-- Applications may refer to a generation ON DELETE CASCADE: with its model their rows go, too.
CREATE TABLE projection_models (
    generation INTEGER PRIMARY KEY AUTOINCREMENT,
    projection TEXT NOT NULL,
    slot TEXT NOT NULL CHECK (slot IN ('active', 'shadow')),
    fingerprint TEXT NOT NULL,
    epoch INTEGER NOT NULL DEFAULT 0,
    holder TEXT,
    expires_at TEXT,
    events INTEGER NOT NULL DEFAULT 0,
    committed_at TEXT,
    trouble TEXT,
    trouble_at TEXT,

    CONSTRAINT unique_projection_slot
        UNIQUE (projection, slot),
    CONSTRAINT a_holder_has_a_time
        CHECK ((holder IS NULL) = (expires_at IS NULL)),
    CONSTRAINT trouble_has_a_time
        CHECK ((trouble IS NULL) = (trouble_at IS NULL))
) STRICT;

-- How far each slice of a model has come, and the event by which the log is known again.
CREATE TABLE projection_slices (
    generation INTEGER NOT NULL,
    slice INTEGER NOT NULL,
    position INTEGER NOT NULL DEFAULT 0,
    event_position INTEGER,
    event_id TEXT,
    aggregate_type TEXT,
    aggregate_id TEXT,
    aggregate_version INTEGER,

    PRIMARY KEY (generation, slice)
) STRICT, WITHOUT ROWID;

CREATE TABLE projection_rows (
    generation INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,

    PRIMARY KEY (generation, key)
) STRICT, WITHOUT ROWID;

-- References to events that are not in a model, and why.
CREATE TABLE projection_parked (
    generation INTEGER NOT NULL,
    position INTEGER NOT NULL,
    key TEXT NOT NULL,
    event_id TEXT NOT NULL,
    aggregate_type TEXT NOT NULL,
    aggregate_id TEXT NOT NULL,
    aggregate_version INTEGER NOT NULL,
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    parked_at TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'due', 'discarded')),
    discard_reason TEXT,
    discarded_at TEXT,

    PRIMARY KEY (generation, key, position),
    CONSTRAINT what_is_discarded_says_why
        CHECK (
            (state = 'discarded') = (discard_reason IS NOT NULL)
            AND (state = 'discarded') = (discarded_at IS NOT NULL)
        )
) STRICT, WITHOUT ROWID;

CREATE INDEX projection_parked_in_order
ON projection_parked (generation, position, key);

CREATE INDEX projection_parked_due
ON projection_parked (generation)
WHERE state = 'due';

-- What readers are served.
CREATE VIEW projection_active_rows (projection, key, value) AS
SELECT m.projection, r.key, r.value
FROM projection_models m
JOIN projection_rows r ON r.generation = m.generation
WHERE m.slot = 'active';

PRAGMA user_version = 5;
