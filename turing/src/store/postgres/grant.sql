-- $1 schema, $2 table of events, $3 what the name of the role ends with
--
-- The grant of a role that `turing migrate --roles` has made, if this login is no member of it.
SELECT pg_catalog.format('GRANT %I TO %I', r.rolname, SESSION_USER)
FROM pg_catalog.pg_namespace n
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid
JOIN pg_catalog.pg_roles o ON o.oid = c.relowner
JOIN pg_catalog.pg_roles r ON r.rolname = pg_catalog.regexp_replace(o.rolname, '_owner$', '_' || $3)
WHERE n.nspname = $1
    AND c.relname = $2
    AND o.rolname LIKE '%!_owner' ESCAPE '!'
    AND NOT pg_catalog.pg_has_role(SESSION_USER, r.oid, 'MEMBER')
