-- Whoever may ask what an event does to a posting, as append_event does, may ask for reserved keys, which
-- that asks for.
DO $$
DECLARE
    grantee TEXT;
BEGIN
    FOR grantee IN
        SELECT DISTINCT a.grantee::regrole::text
        FROM pg_catalog.pg_proc p, pg_catalog.aclexplode(p.proacl) a
        WHERE p.pronamespace = '"{schema}"'::regnamespace
            AND p.proname = 'posting_event_kind'
            AND a.privilege_type = 'EXECUTE'
            AND a.grantee NOT IN (0, p.proowner)
    LOOP
        EXECUTE 'GRANT EXECUTE ON FUNCTION "{schema}".posting_has_reserved_key(JSONB) TO ' || grantee;
    END LOOP;
END;
$$;
