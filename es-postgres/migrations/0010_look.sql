-- How far the log can be read, asked and answered in one call: everything up to the end that a look
-- tells is there to be seen, or never will be.
--
-- An INSERT locks the table before it draws positions and holds the lock until it has ended, and a
-- commit shows its rows before it lets its locks go. So of everything up to the highest visible position,
-- undecided is only what a holder of the lock has drawn, if the holders are looked up after it; and who
-- was no holder at the look before has drawn nothing that was visible by then, because the values of the
-- sequence grow. The statements must stand in this order, and a page must be read by a later one.
--
-- What a look needs of the one before, the caller keeps and gives back: what was visible, and of each
-- holder a position below everything that it has drawn and not decided.

-- The highest position that was drawn, seen or not. Who may not see the sequence is told the highest
-- visible one.
CREATE FUNCTION "{schema}"."{events}_drawn"() RETURNS BIGINT
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
    sequence REGCLASS := pg_get_serial_sequence('"{schema}"."{events}"', 'position');
BEGIN
    IF has_sequence_privilege(sequence, 'SELECT') THEN
        RETURN coalesce(pg_sequence_last_value(sequence), 0);
    END IF;
    RETURN (SELECT coalesce(max(e.position), 0) FROM "{schema}"."{events}" e);
END;
$$;

-- Who holds the lock now, with the positions that are known of them; "before" for all others.
CREATE FUNCTION "{schema}"."{events}_holders"(
    known TEXT[],
    lows BIGINT[],
    before BIGINT,
    OUT holders TEXT[],
    OUT holder_lows BIGINT[]
)
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT
        coalesce(array_agg(h.name ORDER BY h.name), '{}'),
        coalesce(
            array_agg(
                CASE
                    WHEN k.low IS NOT NULL THEN k.low
                    -- a prepared transaction after a restart of the server, which gave it another name
                    WHEN h.name LIKE '-1/%' THEN least(before, (SELECT min(l) FROM unnest(lows) l))
                    ELSE before
                END
                ORDER BY h.name
            ),
            '{}'
        )
    FROM (
        SELECT DISTINCT l.virtualtransaction AS name
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
            )
    ) h
    LEFT JOIN unnest(known, lows) k (name, low) ON k.name = h.name
$$;

-- The highest visible position. What an open transaction has inserted is passed over row by row to find
-- it, so it is looked for only below what is known of those who are still open: nothing above that can
-- be read in any case.
CREATE FUNCTION "{schema}"."{events}_visible"(known TEXT[], lows BIGINT[]) RETURNS BIGINT
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
DECLARE
    bound BIGINT := 9223372036854775807;
    highest BIGINT;
BEGIN
    IF cardinality(known) > 0 THEN
        SELECT coalesce(min(l), bound) INTO bound
        FROM unnest((SELECT h.holder_lows FROM "{schema}"."{events}_holders"(known, lows, NULL) h)) l;
    END IF;
    SELECT e.position INTO highest
    FROM "{schema}"."{events}" e
    WHERE e.position <= bound
    ORDER BY e.position DESC
    LIMIT 1;
    RETURN coalesce(highest, 0);
END;
$$;

-- What somebody's looks have come to, and what the next one needs of them: where processes that start
-- begin to count, so that a writer that is slow just then holds back what it may hold back only.
ALTER TABLE "{schema}"."{events}_watermark"
    ADD COLUMN visible BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN holders TEXT[] NOT NULL DEFAULT '{}',
    ADD COLUMN lows BIGINT[] NOT NULL DEFAULT '{}';

-- "seen" and "seen_id" are the newest event that the caller has seen, 0 and null for none: if it is
-- there no more, this is not the log that the caller has read.
--
-- A standby shows no lock of those who write on the primary, so nothing is said there.
CREATE FUNCTION "{schema}"."{events}_look"(
    seen BIGINT,
    seen_id UUID,
    before BIGINT,
    known TEXT[],
    known_lows BIGINT[],
    OUT is_standby BOOLEAN,
    OUT is_same BOOLEAN,
    OUT drawn BIGINT,
    OUT visible BIGINT,
    OUT holders TEXT[],
    OUT lows BIGINT[],
    OUT watermark BIGINT,
    OUT newest BIGINT,
    OUT newest_id UUID,
    OUT drawn_since BIGINT
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
DECLARE
    reach BIGINT;
BEGIN
    is_standby := pg_is_in_recovery();
    IF is_standby THEN
        RETURN;
    END IF;
    is_same := seen = 0 OR EXISTS (
        SELECT
        FROM "{schema}"."{events}" e
        WHERE e.position = seen AND e.event_id = seen_id
    );
    drawn := "{schema}"."{events}_drawn"();
    visible := greatest("{schema}"."{events}_visible"(known, known_lows), before);
    SELECT h.holders, h.holder_lows INTO holders, lows
    FROM "{schema}"."{events}_holders"(known, known_lows, before) h;
    SELECT coalesce(max(w.position), 0) INTO watermark FROM "{schema}"."{events}_watermark" w;
    IF watermark > drawn THEN
        -- somebody may have been faster
        drawn := "{schema}"."{events}_drawn"();
    END IF;
    IF watermark <= drawn THEN
        -- what is below a frontier is decided, whoever has seen it; one beyond everything that was
        -- drawn is none
        SELECT coalesce(array_agg(greatest(l.low, watermark) ORDER BY l.place), '{}') INTO lows
        FROM unnest(lows) WITH ORDINALITY l (low, place);
        seen := greatest(seen, watermark);
    END IF;
    SELECT greatest(least(coalesce(min(l), visible), visible), seen) INTO reach FROM unnest(lows) l;
    SELECT e.position, e.event_id INTO newest, newest_id
    FROM "{schema}"."{events}" e
    WHERE e.position <= reach
    ORDER BY e.position DESC
    LIMIT 1;
    newest := coalesce(newest, 0);
    -- who has drawn meanwhile is in no answer: one more look shows it
    drawn_since := "{schema}"."{events}_drawn"();
END;
$$;

-- Writes down how far the log can be read. It believes nobody: it counts by itself, from call to call.
-- It has its owner's rights, so that nobody else needs the right to change the row. It waits for nobody:
-- a process that stands still in the middle of this keeps the row.
CREATE FUNCTION "{schema}"."{events}_raise_watermark"() RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
    kept RECORD;
    drawn BIGINT;
    now_visible BIGINT;
    now_holders TEXT[];
    now_lows BIGINT[];
    reach BIGINT;
BEGIN
    SELECT w.position, w.visible, w.holders, w.lows INTO kept
    FROM "{schema}"."{events}_watermark" w
    FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    drawn := "{schema}"."{events}_drawn"();
    IF kept.position > drawn OR kept.visible > drawn THEN
        -- written by hand, or of another history
        kept.position := 0;
        kept.visible := 0;
        kept.holders := '{}';
        kept.lows := '{}';
    END IF;
    now_visible := greatest("{schema}"."{events}_visible"(kept.holders, kept.lows), kept.visible);
    SELECT h.holders, h.holder_lows INTO now_holders, now_lows
    FROM "{schema}"."{events}_holders"(kept.holders, kept.lows, kept.visible) h;
    SELECT greatest(kept.position, least(coalesce(min(l), now_visible), now_visible)) INTO reach
    FROM unnest(now_lows) l;
    UPDATE "{schema}"."{events}_watermark" w
    SET position = reach, visible = now_visible, holders = now_holders, lows = now_lows
    WHERE (w.position, w.visible, w.holders, w.lows)
        IS DISTINCT FROM (reach, now_visible, now_holders, now_lows);
END;
$$;

REVOKE EXECUTE ON FUNCTION
    "{schema}"."{events}_drawn"(),
    "{schema}"."{events}_holders"(TEXT[], BIGINT[], BIGINT),
    "{schema}"."{events}_visible"(TEXT[], BIGINT[]),
    "{schema}"."{events}_look"(BIGINT, UUID, BIGINT, TEXT[], BIGINT[]),
    "{schema}"."{events}_raise_watermark"()
FROM PUBLIC;
