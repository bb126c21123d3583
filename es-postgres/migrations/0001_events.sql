-- The log. A stream is (aggregate_type, aggregate_id); its versions are dense from 1.
--
-- Added to the specified columns:
--   position         the place in the log, drawn while the row's transaction holds its lock on this
--                    table: that is what readers of the log rely on (see the frontier)
--   idempotency_key  on the first event that an append with a key wrote to this stream
--   append_size      with a key: how many events that append wrote to this stream, null means 1
--   append_id        with a key: the same in all streams of an append to several, namely the id of
--                    its first event
--   append_part      with such an id: the place of this stream in the append, from 1
--
-- The CHECK constraints keep out what could not be read back as an event. Text that is compared is
-- in collation "C": it compares faster, and no update of the system's locales can spoil its index.
CREATE TABLE "{schema}"."{events}" (
    event_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    aggregate_type TEXT COLLATE "C" NOT NULL,
    aggregate_id {id} NOT NULL,
    aggregate_version INT NOT NULL,
    event_type TEXT COLLATE "C" NOT NULL,
    event_data JSONB NOT NULL,
    metadata JSONB,
    created_at TIMESTAMPTZ DEFAULT now(),
    position BIGINT GENERATED ALWAYS AS IDENTITY,
    idempotency_key TEXT COLLATE "C",
    append_size INT,
    append_id UUID,
    append_part INT,

    CONSTRAINT unique_aggregate_version
        UNIQUE (aggregate_type, aggregate_id, aggregate_version),
    CONSTRAINT aggregate_version_is_positive
        CHECK (aggregate_version > 0),
    CONSTRAINT aggregate_type_is_snake_case
        CHECK (aggregate_type ~ '^[a-z][a-z0-9_]{0,63}$'),
    CONSTRAINT aggregate_id_is_short_and_printable
        CHECK (octet_length(aggregate_id::text) BETWEEN 1 AND 255 AND aggregate_id::text !~ '[\x01-\x1f\x7f-\x9f]'),
    CONSTRAINT metadata_is_a_json_object
        CHECK (jsonb_typeof(metadata) IN ('object', 'null')),
    CONSTRAINT append_size_is_positive
        CHECK (append_size > 0)
);

CREATE INDEX "idx_{events}_aggregate"
    ON "{schema}"."{events}" (aggregate_type, aggregate_id);
CREATE INDEX "idx_{events}_conversation"
    ON "{schema}"."{events}" ((metadata ->> 'conversation_id'));
CREATE INDEX "idx_{events}_created"
    ON "{schema}"."{events}" (created_at DESC);
CREATE UNIQUE INDEX "idx_{events}_position"
    ON "{schema}"."{events}" (position);
CREATE UNIQUE INDEX "idx_{events}_idempotency"
    ON "{schema}"."{events}" (aggregate_type, aggregate_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX "idx_{events}_append"
    ON "{schema}"."{events}" (append_id)
    WHERE append_id IS NOT NULL;

COMMENT ON TABLE "{schema}"."{events}" IS 'append-only log of events';
COMMENT ON COLUMN "{schema}"."{events}".position IS 'place in the log; grows, with gaps';
COMMENT ON COLUMN "{schema}"."{events}".idempotency_key IS 'key of the append that began with this event';
COMMENT ON COLUMN "{schema}"."{events}".append_size IS 'how many events the append with this key wrote to this stream';
COMMENT ON COLUMN "{schema}"."{events}".append_id IS 'joins the streams of one append with a key';
COMMENT ON COLUMN "{schema}"."{events}".append_part IS 'place of this stream in the append that append_id names';
