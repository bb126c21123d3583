-- Kept states, so that long histories need not be replayed. They are a cache: emptying the table
-- changes no answer.
--
-- event_sequence is the version of the last event in the state. Added to the specified columns:
--   schema  the fingerprint of the state's type; a state of another one is not used
CREATE TABLE "{schema}".posting_state_snapshots (
    snapshot_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    posting_id INT NOT NULL,
    event_sequence INT NOT NULL,
    state JSONB NOT NULL,
    created_at TIMESTAMPTZ DEFAULT now(),
    schema TEXT,

    FOREIGN KEY (posting_id) REFERENCES "{schema}".postings (posting_id)
);

CREATE INDEX idx_snapshots_posting
    ON "{schema}".posting_state_snapshots (posting_id, event_sequence DESC);
CREATE UNIQUE INDEX idx_snapshots_version
    ON "{schema}".posting_state_snapshots (posting_id, event_sequence);

COMMENT ON TABLE "{schema}".posting_state_snapshots IS 'kept states of postings; a cache';
COMMENT ON COLUMN "{schema}".posting_state_snapshots.event_sequence IS 'the version of the last event in the state';
COMMENT ON COLUMN "{schema}".posting_state_snapshots.state IS 'the whole state as JSON, see posting_state_json';
COMMENT ON COLUMN "{schema}".posting_state_snapshots.schema IS 'the fingerprint of the state''s type';
