CREATE TABLE postings (posting_id INT PRIMARY KEY);
CREATE TABLE execution_events (
    event_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    aggregate_type TEXT NOT NULL,           -- 'posting', 'workflow', 'actor'
    aggregate_id INT NOT NULL,              -- posting_id, workflow_id, etc.
    aggregate_version INT NOT NULL,         -- Optimistic concurrency control
    event_type TEXT NOT NULL,               -- 'script_execution_completed', 'llm_call_failed'
    event_data JSONB NOT NULL,              -- Event payload
    metadata JSONB,                         -- Causation, correlation, timing
    created_at TIMESTAMPTZ DEFAULT NOW(),
    
    CONSTRAINT unique_aggregate_version 
        UNIQUE (aggregate_type, aggregate_id, aggregate_version)
);

CREATE INDEX idx_execution_events_aggregate 
    ON execution_events(aggregate_type, aggregate_id);
CREATE INDEX idx_execution_events_conversation 
    ON execution_events((metadata->>'conversation_id'));
CREATE INDEX idx_execution_events_created 
    ON execution_events(created_at DESC);
CREATE TABLE posting_state_projection (
    posting_id INT PRIMARY KEY,
    current_conversation_id INT,
    execution_sequence INT[],               -- Order of execution
    outputs JSONB,                          -- {conversation_id: output}
    is_terminal BOOLEAN DEFAULT FALSE,
    last_updated TIMESTAMPTZ,
    
    FOREIGN KEY (posting_id) REFERENCES postings(posting_id)
);
CREATE TABLE posting_state_snapshots (
    snapshot_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    posting_id INT NOT NULL,
    event_sequence INT NOT NULL,           -- Snapshot taken after N events
    state JSONB NOT NULL,                  -- Full posting state
    created_at TIMESTAMPTZ DEFAULT NOW(),
    
    FOREIGN KEY (posting_id) REFERENCES postings(posting_id)
);

CREATE INDEX idx_snapshots_posting 
    ON posting_state_snapshots(posting_id, event_sequence DESC);
