-- Where each posting stands.
CREATE TABLE "{schema}".posting_state_projection (
    posting_id INT PRIMARY KEY,
    current_conversation_id INT,
    execution_sequence INT[],
    outputs JSONB,
    is_terminal BOOLEAN DEFAULT FALSE,
    last_updated TIMESTAMPTZ,

    FOREIGN KEY (posting_id) REFERENCES "{schema}".postings (posting_id)
);
