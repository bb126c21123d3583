-- $1 whether who only reads is in the way, too; $2 whether the lock of those who migrate is wanted
-- instead, which is an advisory one
--
-- The session that holds the strongest lock on a table of the store's schema, the longest open
-- transaction first.
SELECT
    l.virtualtransaction AS transaction,
    l.pid,
    NULL::text AS prepared_as,
    coalesce(c.relname::text, 'the migrations') AS "table",
    l.mode,
    a.application_name AS application,
    a.usename::text AS role,
    a.state,
    (extract(EPOCH FROM clock_timestamp() - a.xact_start) * 1000000)::bigint AS open_for
FROM pg_catalog.pg_locks l
LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.granted
    AND l.database = (
        SELECT d.oid
        FROM pg_catalog.pg_database d
        WHERE d.datname = current_database()
    )
    AND l.pid IS DISTINCT FROM pg_backend_pid()
    AND CASE
        WHEN $2 THEN l.locktype = 'advisory'
        ELSE l.locktype = 'relation'
            AND n.nspname = '{schema}'
            AND c.relkind IN ('r', 'p')
            AND ($1 OR l.mode NOT IN ('AccessShareLock', 'ShareUpdateExclusiveLock'))
    END
ORDER BY
    array_position(
        ARRAY[
            'AccessExclusiveLock',
            'ExclusiveLock',
            'ShareRowExclusiveLock',
            'ShareLock',
            'ShareUpdateExclusiveLock',
            'RowExclusiveLock',
            'RowShareLock',
            'AccessShareLock'
        ],
        l.mode
    ),
    a.xact_start NULLS LAST,
    l.pid
LIMIT 1
