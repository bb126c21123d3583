-- The other transactions that may have drawn positions, and whether they wait for this one. The
-- modes are those of the frontier.
SELECT
    l.virtualtransaction,
    l.pid,
    a.application_name,
    coalesce(pg_backend_pid() = ANY (pg_blocking_pids(l.pid)), FALSE)
FROM pg_catalog.pg_locks l
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation'
    AND l.database = (
        SELECT d.oid
        FROM pg_catalog.pg_database d
        WHERE d.datname = current_database()
    )
    AND l.relation = '"{schema}"."{events}"'::regclass
    AND l.granted
    AND l.pid IS DISTINCT FROM pg_backend_pid()
    AND l.mode IN (
        'RowExclusiveLock',
        'ShareRowExclusiveLock',
        'ExclusiveLock',
        'AccessExclusiveLock'
    )
