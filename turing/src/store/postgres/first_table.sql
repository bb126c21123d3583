-- $1 schema, $2 names of tables
--
-- One of these that is there.
SELECT c.relname::text
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1
    AND c.relname = ANY ($2)
ORDER BY c.relname
LIMIT 1
