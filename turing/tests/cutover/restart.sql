-- The posting $1 begins anew.
UPDATE posting_state_checkpoints
SET current_conversation_id = NULL,
    outputs = '{}',
    conversation_history = '[]',
    execution_count = 0,
    is_terminal = FALSE,
    updated_at = clock_timestamp()
WHERE posting_id = $1::int
