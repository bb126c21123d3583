-- Whoever may write the rows of models may write these, and whoever may read what is served may read the
-- view.
DO $$
DECLARE
    given RECORD;
BEGIN
    FOR given IN
        SELECT o.place, a.privilege_type AS privilege, a.grantee::regrole::text AS grantee
        FROM (
            VALUES
            (
                '"{schema}"."{events}_projection_rows"',
                '"{schema}".{models}',
                ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']
            ),
            ('"{schema}"."{events}_projection_active"', '"{schema}".{table}', ARRAY['SELECT'])
        ) o (model, place, privileges)
        JOIN pg_catalog.pg_class c ON c.oid = o.model::regclass
        CROSS JOIN LATERAL pg_catalog.aclexplode(
            coalesce(c.relacl, pg_catalog.acldefault('r', c.relowner))
        ) a
        WHERE a.grantee <> 0
            AND a.privilege_type = ANY (o.privileges)
    LOOP
        EXECUTE 'GRANT ' || given.privilege || ' ON ' || given.place || ' TO ' || given.grantee;
    END LOOP;
END;
$$
