-- The server looks for a registered posting with the rights of the owner of that table, which may be the
-- application's own: without the use of the schema no posting could have events.
DO $$
DECLARE
    postings_owner TEXT;
BEGIN
    SELECT r.rolname INTO postings_owner
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
    WHERE c.oid = '"{schema}".postings'::regclass
        AND NOT pg_catalog.has_schema_privilege(c.relowner, '{schema}', 'USAGE');
    IF FOUND THEN
        EXECUTE pg_catalog.format('GRANT USAGE ON SCHEMA "{schema}" TO %I', postings_owner);
    END IF;
END;
$$;
