-- the specification's columns and as many indexes, without a store's checks and triggers
CREATE TABLE events (
    position BIGINT GENERATED ALWAYS AS IDENTITY,
    event_id UUID PRIMARY KEY,
    aggregate_type TEXT NOT NULL,
    aggregate_id TEXT NOT NULL,
    aggregate_version INT NOT NULL,
    event_type TEXT NOT NULL,
    event_data JSONB NOT NULL,
    metadata JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    UNIQUE (aggregate_type, aggregate_id, aggregate_version)
);
CREATE UNIQUE INDEX ON events (position);
CREATE INDEX ON events (created_at);
CREATE INDEX ON events ((metadata ->> 'conversation_id'));
