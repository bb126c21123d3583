-- $1 what kind of lock, $2 schema of the store
--
-- Who holds it, and since when; the server lists the halves of the key without their signs, and may not
-- tell of sessions of other users.
SELECT pg_catalog.format('%s (session %s)', coalesce(nullif(a.application_name, ''), a.usename::text, '?'), l.pid),
    a.xact_start
FROM pg_catalog.pg_locks l
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory'
    AND l.granted
    AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())
    AND l.classid::bigint = ($1 # pg_catalog.hashtext($2))::bigint & 4294967295
    AND l.objid = 1
    AND l.objsubid = 2
