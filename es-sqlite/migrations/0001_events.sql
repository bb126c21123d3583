-- The log. A stream is (aggregate_type, aggregate_id); its versions are dense from 1.
--
-- The CHECK constraints and the trigger on INSERT are for other programs; the store itself makes the
-- same checks before it writes, on a connection without them.
--
-- unique_aggregate_version begins with aggregate_id, so that it also serves queries that name only
-- the id. The form of created_at is SQLite's own, in UTC: as text it sorts by time.
PRAGMA application_id = 0x45535131;

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

PRAGMA user_version = 1;
