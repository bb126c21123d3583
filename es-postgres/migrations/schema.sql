DO $$
BEGIN
    -- even IF NOT EXISTS would need the right to make schemas
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = '{schema}') THEN
        CREATE SCHEMA "{schema}";
    END IF;
END;
$$;
