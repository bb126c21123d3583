-- the specification's columns, with the five indexes that such a table has
CREATE TABLE events (
    global_position bigint GENERATED ALWAYS AS IDENTITY,
    event_id uuid PRIMARY KEY,
    aggregate_type text NOT NULL,
    aggregate_id text NOT NULL,
    aggregate_version int NOT NULL,
    event_type text NOT NULL,
    event_data jsonb NOT NULL,
    metadata jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE (aggregate_type, aggregate_id, aggregate_version)
);
CREATE UNIQUE INDEX ON events (global_position);
CREATE INDEX ON events (created_at);
CREATE INDEX ON events ((metadata->>'conversation_id'));
