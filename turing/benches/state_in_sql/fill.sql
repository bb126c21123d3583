-- $1 first, $2 last posting, $3 events of each, $4 conversations
--
-- Each posting enters a run and goes from conversation to conversation.
INSERT INTO execution_events
    (aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata)
SELECT
    'posting',
    p.posting,
    v.version,
    CASE
        WHEN v.version = 1 THEN 'posting_entered_run'
        WHEN v.version % 2 = 0 THEN 'llm_call_completed'
        ELSE 'branch_taken'
    END,
    CASE
        WHEN v.version = 1 THEN jsonb_build_object(
            'run_id', '0193a1d4-0000-7000-8000-000000000001', 'workflow_id', 3001, 'entry_conversation_id', 9184
        )
        WHEN v.version % 2 = 0 THEN jsonb_build_object('output', repeat('x', 148), 'status', 'SUCCESS')
        ELSE jsonb_build_object(
            'rule', 1, 'priority', 0, 'condition', '*', 'to', 9184 + v.version / 2 % $4
        )
    END,
    jsonb_build_object(
        'conversation_id', 9184 + (v.version - 1) / 2 % $4, 'actor_id', 74, 'duration_ms', 245, 'event_version', '1.0'
    )
FROM generate_series($1, $2) p (posting)
CROSS JOIN generate_series(1, $3) v (version)
