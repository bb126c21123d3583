-- The old table as the specification has it, with a counter and a column that no mapping names.
CREATE TABLE posting_state_checkpoints (
    posting_id INT PRIMARY KEY,
    current_conversation_id INT,
    outputs JSONB NOT NULL DEFAULT '{}',
    conversation_history JSONB NOT NULL DEFAULT '[]',
    is_terminal BOOLEAN NOT NULL DEFAULT FALSE,
    execution_count INT NOT NULL DEFAULT 0,
    note TEXT,
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
