-- what the migrations make; written by the test that compares it (ES_BLESS=1)

PRAGMA application_id = 1163088177;
PRAGMA user_version = 8;

CREATE TABLE execution_events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL COLLATE NOCASE DEFAULT (
        lower(
            hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2)
            || '-a' || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))
        )
    ),
    aggregate_type TEXT NOT NULL,
    aggregate_id TEXT NOT NULL,
    aggregate_version INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')),
    metadata TEXT,
    event_data TEXT NOT NULL,

    CONSTRAINT unique_event_id
        UNIQUE (event_id),
    CONSTRAINT unique_aggregate_version
        UNIQUE (aggregate_id, aggregate_type, aggregate_version),
    CONSTRAINT position_is_positive
        CHECK (position > 0),
    CONSTRAINT event_id_is_a_uuid
        CHECK (
            event_id GLOB '????????-????-????-????-????????????'
            AND event_id NOT GLOB '*[^-0-9a-fA-F]*'
            AND length(replace(event_id, '-', '')) = 32
            AND instr(event_id, char(0)) = 0
        ),
    CONSTRAINT aggregate_type_is_snake_case
        CHECK (
            aggregate_type GLOB '[a-z]*'
            AND aggregate_type NOT GLOB '*[^a-z0-9_]*'
            AND length(aggregate_type) <= 64
            AND instr(aggregate_type, char(0)) = 0
        ),
    CONSTRAINT aggregate_id_is_short_and_printable
        CHECK (
            length(CAST(aggregate_id AS BLOB)) BETWEEN 1 AND 255
            AND aggregate_id NOT GLOB '*[' || char(1) || '-' || char(31) || char(127) || '-' || char(159) || ']*'
            AND instr(aggregate_id, char(0)) = 0
        ),
    CONSTRAINT event_type_is_snake_case
        CHECK (
            event_type GLOB '[a-z]*'
            AND event_type NOT GLOB '*[^a-z0-9_]*'
            AND length(event_type) <= 100
            AND instr(event_type, char(0)) = 0
        ),
    CONSTRAINT event_data_is_json
        CHECK (json_valid(event_data) AND instr(event_data, char(0)) = 0),
    CONSTRAINT metadata_is_a_json_object
        CHECK (
            metadata IS NULL
            OR (
                json_valid(metadata)
                AND json_type(metadata) IN ('object', 'null')
                AND instr(metadata, char(0)) = 0
            )
        ),
    CONSTRAINT created_at_is_a_time
        CHECK (
            datetime(substr(created_at, 1, 19)) IS substr(created_at, 1, 19)
            AND substr(created_at, 20, 1) IN ('', '.')
            AND substr(created_at, 21) NOT GLOB '*[^0-9]*'
            AND (length(created_at) = 19 OR length(created_at) BETWEEN 21 AND 26)
            AND instr(created_at, char(0)) = 0
        )
) STRICT;

CREATE TRIGGER execution_events_are_appended
BEFORE INSERT ON execution_events
BEGIN
    SELECT RAISE(ABORT, 'unique_aggregate_version: aggregate_version must be 1 more than that of the newest event of the aggregate')
    WHERE NEW.aggregate_version IS NOT 1 + coalesce(
        (
            SELECT max(aggregate_version)
            FROM execution_events
            WHERE aggregate_id = NEW.aggregate_id
                AND aggregate_type = NEW.aggregate_type
        ),
        0
    );
    SELECT RAISE(ABORT, 'unique_event_id: there is an event with this event_id')
    WHERE EXISTS (SELECT 1 FROM execution_events WHERE event_id = NEW.event_id);
    -- an unset position is not positive here
    SELECT RAISE(ABORT, 'position must be left out, or be after every other')
    WHERE NEW.position BETWEEN 1 AND (SELECT max(position) FROM execution_events);
    SELECT RAISE(ABORT, 'position must be left out, or leave room for those after it')
    WHERE NEW.position > 9000000000000000000;
END;

CREATE TRIGGER execution_events_are_not_updated
BEFORE UPDATE ON execution_events
BEGIN
    SELECT RAISE(ABORT, 'execution_events is append-only: UPDATE is refused');
END;

CREATE TRIGGER execution_events_are_not_deleted
BEFORE DELETE ON execution_events
BEGIN
    SELECT RAISE(ABORT, 'execution_events is append-only: DELETE is refused');
END;

CREATE TABLE idempotency_keys (
    aggregate_type TEXT NOT NULL,
    aggregate_id TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    first_position INTEGER NOT NULL,
    last_position INTEGER NOT NULL,

    PRIMARY KEY (aggregate_id, aggregate_type, idempotency_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE snapshots (
    aggregate_type TEXT NOT NULL,
    aggregate_id TEXT NOT NULL,
    aggregate_version INTEGER NOT NULL,
    schema TEXT NOT NULL,
    created_at TEXT NOT NULL,
    state TEXT NOT NULL, last_event_id TEXT,

    PRIMARY KEY (aggregate_id, aggregate_type, aggregate_version)
) STRICT;

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
    trouble_at TEXT, rate REAL,

    CONSTRAINT unique_projection_slot
        UNIQUE (projection, slot),
    CONSTRAINT a_holder_has_a_time
        CHECK ((holder IS NULL) = (expires_at IS NULL)),
    CONSTRAINT trouble_has_a_time
        CHECK ((trouble IS NULL) = (trouble_at IS NULL))
) STRICT;

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

CREATE VIEW projection_active_rows (projection, key, value) AS
SELECT m.projection, r.key, r.value
FROM projection_models m
JOIN projection_rows r ON r.generation = m.generation
WHERE m.slot = 'active';
