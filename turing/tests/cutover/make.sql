-- The same of a posting without a row.
INSERT INTO posting_state_checkpoints
    (posting_id, current_conversation_id, outputs, conversation_history, execution_count)
VALUES (
    $1::int,
    $2::int,
    jsonb_build_object($2::int, $3::jsonb),
    jsonb_build_array(jsonb_build_object('conversation_id', $2::int)),
    1
)
