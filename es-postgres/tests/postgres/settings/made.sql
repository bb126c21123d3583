SELECT array_agg(m.text ORDER BY m.text)
FROM (
    SELECT pg_get_functiondef(p.oid) FROM pg_proc p
    WHERE p.pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT c.conrelid::regclass || ' ' || c.conname || ' ' || pg_get_constraintdef(c.oid) FROM pg_constraint c
    WHERE c.connamespace = 'public'::regnamespace
    UNION ALL
    SELECT i.indexdef FROM pg_indexes i WHERE i.schemaname = 'public'
) m (text)
