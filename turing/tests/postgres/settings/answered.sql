SELECT public.posting_state_json(p)::text FROM public.posting_state_projection p WHERE p.posting_id = 77
UNION ALL
SELECT s.state::text FROM public.posting_state_snapshots s WHERE s.posting_id = 77
UNION ALL
SELECT * FROM (SELECT e.event_data::text FROM public.execution_events e WHERE e.aggregate_id = 77 ORDER BY e.position) e
UNION ALL
SELECT * FROM (
    SELECT pg_get_functiondef(p.oid) FROM pg_proc p
    WHERE p.pronamespace = 'public'::regnamespace
    ORDER BY p.proname
) f
UNION ALL
SELECT * FROM (
    SELECT c.conrelid::regclass || ' ' || c.conname || ' ' || pg_get_constraintdef(c.oid) FROM pg_constraint c
    WHERE c.connamespace = 'public'::regnamespace
    ORDER BY 1
) c
UNION ALL
SELECT * FROM (SELECT i.indexdef FROM pg_indexes i WHERE i.schemaname = 'public' ORDER BY 1) i
