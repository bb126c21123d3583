-- $1 schema, $2 table of events, $3 table of migrations, $4 functions
--
-- One of these that belongs neither to the user, nor to somebody who has the rights of the events' owner
-- or of the schema's.
SELECT min(o.name || ', which belongs to ' || pg_get_userbyid(o.owner))
FROM (
    SELECT n.oid AS schema_oid, n.nspowner, e.relowner AS events_owner
    FROM pg_namespace n
    LEFT JOIN pg_class e ON e.relnamespace = n.oid AND e.relname = $2
    WHERE n.nspname = $1
) s
CROSS JOIN LATERAL (
    SELECT c.relname::text AS name, c.relowner AS owner
    FROM pg_class c
    WHERE c.relnamespace = s.schema_oid
        AND c.relname = $3
    UNION ALL
    SELECT format('%I(%s)', p.proname, pg_get_function_identity_arguments(p.oid)), p.proowner
    FROM pg_proc p
    WHERE p.pronamespace = s.schema_oid
        AND p.proname = ANY ($4)
) o
WHERE o.owner <> (SELECT r.oid FROM pg_roles r WHERE r.rolname = current_user)
    AND NOT pg_has_role(o.owner, s.nspowner, 'MEMBER')
    AND NOT coalesce(pg_has_role(o.owner, s.events_owner, 'MEMBER'), FALSE)
