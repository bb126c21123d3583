-- How far the log can be read: everything at or below the frontier is there to be seen, or never
-- will be.
--
-- An INSERT locks the table before it draws positions and holds the lock until it has ended, and a
-- commit shows its rows before it lets its locks go. So who is not among the holders of the lock,
-- looked up after the highest visible position, has no undecided position at or below that one.
-- What positions a holder may have drawn is known from when it was first seen: es_postgres keeps
-- count. The first two statements must stand in this order, and a page must be read by a later one.
CREATE FUNCTION "{schema}"."{events}_frontier"(
    OUT visible BIGINT,
    OUT holders TEXT[],
    OUT watermark BIGINT,
    OUT newest BIGINT
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
    SELECT coalesce(max(e.position), 0) INTO visible
    FROM "{schema}"."{events}" e;
    SELECT coalesce(array_agg(DISTINCT l.virtualtransaction), '{}') INTO holders
    FROM pg_locks l
    WHERE l.locktype = 'relation'
        AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
        AND l.relation = '"{schema}"."{events}"'::regclass
        AND l.granted
        AND l.mode IN (
            'RowExclusiveLock',
            'ShareRowExclusiveLock',
            'ExclusiveLock',
            'AccessExclusiveLock'
        );
    SELECT coalesce(max(w.position), 0) INTO watermark
    FROM "{schema}"."{events}_watermark" w;
    -- who has committed since the first statement is in neither answer: one more look shows it
    SELECT coalesce(max(e.position), 0) INTO newest
    FROM "{schema}"."{events}" e;
END;
$$;

-- A frontier that some process has seen: where processes that start begin to count, so that a
-- writer that is slow just then holds back what it may hold back only.
CREATE TABLE "{schema}"."{events}_watermark" (
    only_row BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    position BIGINT NOT NULL CHECK (position >= 0)
);
INSERT INTO "{schema}"."{events}_watermark" (position) VALUES (0);
