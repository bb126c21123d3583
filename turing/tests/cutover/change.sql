-- What a program does that knows nothing of events: the posting $1 has completed the conversation $2 with
-- the output $3.
UPDATE posting_state_checkpoints
SET current_conversation_id = $2::int,
    outputs = outputs || jsonb_build_object($2::int, $3::jsonb),
    conversation_history = conversation_history || jsonb_build_object('conversation_id', $2::int, 'by', 'rust'),
    execution_count = execution_count + 1,
    is_terminal = FALSE,
    updated_at = clock_timestamp()
WHERE posting_id = $1::int
