-- $1 posting, $2 version
INSERT INTO execution_events
    (aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata)
VALUES (
    'posting',
    $1,
    $2,
    'llm_call_completed',
    jsonb_build_object('output', repeat('x', 148), 'status', 'SUCCESS'),
    jsonb_build_object('conversation_id', 9184 + $2 % 16, 'actor_id', 74, 'duration_ms', 245, 'event_version', '1.0')
)
