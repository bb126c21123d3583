-- as an application would make it, with columns that the store does not name
CREATE TABLE "{schema}"."{snapshots}" (
    snapshot_number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    "{snapshot_id}" {id} NOT NULL,
    "{snapshot_version}" INT NOT NULL,
    "{snapshot_state}" JSONB NOT NULL,
    "{snapshot_taken_at}" TIMESTAMPTZ DEFAULT now(),
    "{snapshot_schema}" TEXT,
    "{snapshot_event}" UUID,

    UNIQUE ("{snapshot_id}", "{snapshot_version}")
);
