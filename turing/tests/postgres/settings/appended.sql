INSERT INTO public.postings (posting_id) VALUES (77);
SELECT public.append_event(
    'posting_entered_run', 77,
    '{"run_id": "{0193a1d4-0000-7000-8000-000000000001}", "workflow_id": 3001, "entry_conversation_id": 1}'
);
SELECT public.append_event(
    'llm_call_failed', 77, '{"failure_type": "timeout", "error": "a b"}', '{"conversation_id": 1}',
    idempotency_key => 'a key'
);
SELECT public.append_event(
    'retry_scheduled', 77,
    '{"attempt": 1, "failure_type": "timeout", "due_at": "2025-03-30T02:30:00.123456+05:45"}',
    '{"conversation_id": 1}'
);
SELECT public.append_event(
    'llm_call_completed', 77, '{"output": {"f": 0.1, "g": 1e300, "h": [null, "ä"]}}', '{"conversation_id": 1}'
);
SELECT public.maybe_create_snapshot(77, 1);
SELECT public.rebuild_posting_state(77);
