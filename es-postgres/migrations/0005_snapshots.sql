-- A cache: emptying it changes no answer.
CREATE TABLE "{schema}"."{events}_snapshots" (
    aggregate_type TEXT COLLATE "C" NOT NULL,
    aggregate_id {id} NOT NULL,
    aggregate_version BIGINT NOT NULL,
    schema TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    state JSONB NOT NULL,

    PRIMARY KEY (aggregate_type, aggregate_id, aggregate_version)
);
