-- $1 the frontier; no rows unless something behind it was committed
--
-- The transactions that hold the lock of a writer on the table of events, as the function that looks
-- for the frontier finds them; the one that has been open for longest first. What the server shows
-- of a session to its own role only is null.
WITH locks AS MATERIALIZED (
    SELECT
        l.locktype,
        l.database,
        l.relation,
        l.transactionid,
        l.virtualtransaction,
        l.pid,
        l.mode
    FROM pg_catalog.pg_locks l
    WHERE l.granted
),
holders AS (
    SELECT DISTINCT l.virtualtransaction, l.pid
    FROM locks l
    WHERE l.locktype = 'relation'
        AND l.database = (
            SELECT d.oid
            FROM pg_catalog.pg_database d
            WHERE d.datname = current_database()
        )
        AND l.relation = '"{schema}"."{events}"'::regclass
        AND l.mode IN (
            'RowExclusiveLock',
            'ShareRowExclusiveLock',
            'ExclusiveLock',
            'AccessExclusiveLock'
        )
)
SELECT
    h.virtualtransaction AS transaction,
    h.pid,
    p.gid AS prepared_as,
    a.application_name AS application,
    coalesce(a.usename, p.owner)::text AS role,
    a.state,
    (
        extract(EPOCH FROM clock_timestamp() - coalesce(a.xact_start, p.prepared)) * 1000000
    )::bigint AS open_for
FROM holders h
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = h.pid
LEFT JOIN (
    locks t
    JOIN pg_catalog.pg_prepared_xacts p ON p.transaction = t.transactionid
) ON h.pid IS NULL
    AND t.locktype = 'transactionid'
    AND t.virtualtransaction = h.virtualtransaction
WHERE EXISTS (
        SELECT
        FROM "{schema}"."{events}" e
        WHERE e.position > $1
    )
ORDER BY coalesce(a.xact_start, p.prepared) NULLS LAST, h.pid
