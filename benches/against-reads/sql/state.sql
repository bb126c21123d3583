-- $1 posting
SELECT current_conversation_id, execution_sequence, outputs, is_terminal, last_updated, aggregate_version
FROM posting_state_projection
WHERE posting_id = $1
