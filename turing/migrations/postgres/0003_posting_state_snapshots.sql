-- Kept states, so that long histories need not be replayed.
CREATE TABLE "{schema}".posting_state_snapshots (
    snapshot_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    posting_id INT NOT NULL,
    event_sequence INT NOT NULL,
    state JSONB NOT NULL,
    created_at TIMESTAMPTZ DEFAULT now(),

    FOREIGN KEY (posting_id) REFERENCES "{schema}".postings (posting_id)
);

CREATE INDEX idx_snapshots_posting
    ON "{schema}".posting_state_snapshots (posting_id, event_sequence DESC);
