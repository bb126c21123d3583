-- What an operator has accepted as it is holds until one of both sides changes. Where the events change it, the
-- old row keeps what was accepted there, and the difference is a discrepancy that names the former acceptance;
-- the posting's other parts go on being written. Where a program changes the old row, the events take it over.

-- Which part of a mapping a kind of difference is about; null if it is about the whole row.
CREATE FUNCTION "{schema}".cutover_part(kind TEXT) RETURNS TEXT
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE kind
        WHEN 'current_differs' THEN 'current'
        WHEN 'sequence_differs' THEN 'history'
        WHEN 'outputs_differ' THEN 'outputs'
        WHEN 'terminal_differs' THEN 'terminal'
        WHEN 'counter_differs' THEN 'counter'
    END;
END;
$$;

-- The discrepancy of a posting, of a kind, that somebody has accepted and that is so still, or is another one since
-- that nobody has resolved; null if there is none, or both sides have agreed meanwhile.
CREATE FUNCTION "{schema}".cutover_accepted_before(posting_id INT, kind TEXT) RETURNS BIGINT
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT max(d.accepted)
        FROM (
            SELECT a.discrepancy_id, a.discrepancy_id AS accepted
            FROM "{schema}".cutover_discrepancies a
            WHERE a.posting_id = cutover_accepted_before.posting_id
                AND a.kind = cutover_accepted_before.kind
                AND a.resolution = 'accepted'
            UNION ALL
            SELECT o.discrepancy_id, o.accepted_before
            FROM "{schema}".cutover_discrepancies o
            WHERE o.posting_id = cutover_accepted_before.posting_id
                AND o.kind = cutover_accepted_before.kind
                AND o.resolved_at IS NULL
                AND o.accepted_before IS NOT NULL
        ) d
        WHERE NOT EXISTS (
            SELECT
            FROM "{schema}".cutover_discrepancies m
            WHERE m.posting_id = cutover_accepted_before.posting_id
                AND m.kind = cutover_accepted_before.kind
                AND m.sightings = 0
                AND m.discrepancy_id > d.discrepancy_id
        )
    );
END;
$$;

-- The kinds of differences that are kept so, of those that are about a part of a posting's state.
CREATE FUNCTION "{schema}".cutover_kept_kinds(posting_id INT) RETURNS TEXT[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kinds TEXT[];
BEGIN
    -- of nearly every posting none
    SELECT array_agg(DISTINCT d.kind) INTO kinds
    FROM (
        SELECT a.kind
        FROM "{schema}".cutover_discrepancies a
        WHERE a.posting_id = cutover_kept_kinds.posting_id
            AND a.resolution = 'accepted'
        UNION ALL
        SELECT o.kind
        FROM "{schema}".cutover_discrepancies o
        WHERE o.posting_id = cutover_kept_kinds.posting_id
            AND o.resolved_at IS NULL
            AND o.accepted_before IS NOT NULL
    ) d;
    IF kinds IS NULL THEN
        RETURN '{}';
    END IF;
    RETURN ARRAY(
        SELECT k.kind
        FROM unnest(kinds) k (kind)
        WHERE "{schema}".cutover_part(k.kind) IS NOT NULL
            AND "{schema}".cutover_accepted_before(cutover_kept_kinds.posting_id, k.kind) IS NOT NULL
    );
END;
$$;

-- The parts of a posting's row that one side writes to the other by itself; null for all, if nothing is kept.
CREATE FUNCTION "{schema}".cutover_unkept_parts(posting_id INT) RETURNS TEXT[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kept CONSTANT TEXT[] := "{schema}".cutover_kept_kinds(posting_id);
BEGIN
    IF kept = '{}' THEN
        RETURN NULL;
    END IF;
    RETURN ARRAY(
        SELECT p.part
        FROM unnest('{current,history,outputs,terminal,counter}'::text[]) p (part)
        WHERE p.part NOT IN (SELECT "{schema}".cutover_part(k.kind) FROM unnest(kept) k (kind))
    );
END;
$$;

-- What an operator has accepted as it is, and is so still.
CREATE OR REPLACE FUNCTION "{schema}".cutover_is_accepted(posting_id INT, kind TEXT, field TEXT, old TEXT, new TEXT) RETURNS BOOLEAN
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT EXISTS (
            SELECT
            FROM "{schema}".cutover_discrepancies d
            WHERE d.resolution = 'accepted'
                AND (
                    d.posting_id = cutover_is_accepted.posting_id
                    OR d.posting_id IS NULL AND cutover_is_accepted.posting_id IS NULL
                )
                AND d.kind = cutover_is_accepted.kind
                AND d.field IS NOT DISTINCT FROM cutover_is_accepted.field
                AND d.old IS NOT DISTINCT FROM cutover_is_accepted.old
                AND d.new IS NOT DISTINCT FROM cutover_is_accepted.new
                AND NOT EXISTS (
                    SELECT
                    FROM "{schema}".cutover_discrepancies m
                    WHERE m.posting_id = d.posting_id
                        AND m.kind = d.kind
                        AND m.sightings = 0
                        AND m.discrepancy_id > d.discrepancy_id
                )
        )
    );
END;
$$;

-- As before, with the acceptance that it takes the place of.
CREATE OR REPLACE FUNCTION "{schema}".cutover_note(posting_id INT, kind TEXT, field TEXT, old TEXT, new TEXT) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO "{schema}".cutover_discrepancies (posting_id, kind, field, old, new, accepted_before)
    SELECT
        d.posting_id, d.kind, d.field, d.old, d.new,
        "{schema}".cutover_accepted_before(d.posting_id, d.kind)
    FROM (
        VALUES (
            cutover_note.posting_id, cutover_note.kind, cutover_note.field,
            "{schema}".cutover_short(cutover_note.old), "{schema}".cutover_short(cutover_note.new)
        )
    ) d (posting_id, kind, field, old, new)
    WHERE NOT "{schema}".cutover_is_accepted(d.posting_id, d.kind, d.field, d.old, d.new)
        AND NOT EXISTS (
            SELECT
            FROM "{schema}".cutover_discrepancies o
            WHERE o.resolved_at IS NULL
                AND (
                    o.posting_id = d.posting_id
                    OR o.posting_id IS NULL AND d.posting_id IS NULL AND o.old IS NOT DISTINCT FROM d.old
                )
                AND o.kind = d.kind
                AND o.field IS NOT DISTINCT FROM d.field
                AND o.new IS NOT DISTINCT FROM d.new
        );
END;
$$;

-- Behind a write to one side of a posting of which something is kept: where both agree now, that is over; where
-- they differ in another way than was accepted, that is a discrepancy. It writes to no record that is there, so
-- that writers of the old table wait for nobody here.
CREATE FUNCTION "{schema}".cutover_note_kept(posting_id INT) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kept CONSTANT TEXT[] := "{schema}".cutover_kept_kinds(posting_id);
    found CONSTANT JSONB := coalesce(
        (SELECT jsonb_agg(to_jsonb(d)) FROM "{schema}".cutover_differences(ARRAY[cutover_note_kept.posting_id]) d), '[]'
    );
    one RECORD;
BEGIN
    -- of a row that cannot be compared nothing is known
    IF EXISTS (
        SELECT FROM jsonb_array_elements(found) f (difference)
        WHERE "{schema}".cutover_part(f.difference ->> 'kind') IS NULL
    ) THEN
        RETURN;
    END IF;
    INSERT INTO "{schema}".cutover_discrepancies
        (posting_id, kind, sightings, resolved_at, resolution, resolved_by)
    SELECT cutover_note_kept.posting_id, k.kind, 0, now(), 'agrees', session_user
    FROM unnest(kept) k (kind)
    WHERE NOT EXISTS (
        SELECT FROM jsonb_array_elements(found) f (difference)
        WHERE f.difference ->> 'kind' = k.kind
    );
    FOR one IN
        SELECT d.kind, d.field, d.old, d.new
        FROM jsonb_to_recordset(found) d (kind TEXT, field TEXT, old TEXT, new TEXT)
        WHERE d.kind = ANY (kept)
            -- one of a kind is enough: rounds of validation keep it up to date
            AND NOT EXISTS (
                SELECT
                FROM "{schema}".cutover_discrepancies o
                WHERE o.posting_id = cutover_note_kept.posting_id
                    AND o.kind = d.kind
                    AND o.resolved_at IS NULL
            )
    LOOP
        PERFORM "{schema}".cutover_note(cutover_note_kept.posting_id, one.kind, one.field, one.old, one.new);
    END LOOP;
END;
$$;

-- As before, without what was accepted.
CREATE OR REPLACE FUNCTION "{schema}".cutover_write_old(posting_ids INT[]) RETURNS INT
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    one INT;
    written INT := 0;
    unkept TEXT[];
BEGIN
    IF NOT EXISTS (SELECT FROM "{schema}".cutovers c JOIN pg_class t ON t.oid = c.old_table) THEN
        RETURN 0;
    END IF;
    FOR one IN SELECT DISTINCT i.posting_id FROM unnest(posting_ids) i (posting_id) ORDER BY 1 LOOP
        IF NOT "{schema}".cutover_hold(one, FALSE) THEN
            RAISE EXCEPTION 'the old row of posting % is being written by another transaction; try again', one
                USING ERRCODE = 'serialization_failure';
        END IF;
        unkept := "{schema}".cutover_unkept_parts(one);
        IF "{schema}".cutover_write_row(one, '{}'::jsonb, unkept) THEN
            written := written + 1;
        END IF;
        IF unkept IS NOT NULL THEN
            PERFORM "{schema}".cutover_note_kept(one);
        END IF;
    END LOOP;
    RETURN written;
END;
$$;

REVOKE ALL ON FUNCTION
    "{schema}".cutover_part(TEXT),
    "{schema}".cutover_accepted_before(INT, TEXT),
    "{schema}".cutover_kept_kinds(INT),
    "{schema}".cutover_unkept_parts(INT),
    "{schema}".cutover_note_kept(INT)
FROM PUBLIC;

-- They are called by functions that have their owner's rights.
DO $$
DECLARE
    made REGPROCEDURE;
    of_owner REGROLE;
BEGIN
    SELECT p.proowner::regrole INTO of_owner
    FROM pg_catalog.pg_proc p
    WHERE p.oid = '"{schema}".cutover_write_old(INT[])'::regprocedure;
    FOR made IN
        SELECT p.oid::regprocedure
        FROM pg_catalog.pg_proc p
        WHERE p.pronamespace = '"{schema}"'::regnamespace
            AND p.proname IN (
                'cutover_part', 'cutover_accepted_before', 'cutover_kept_kinds', 'cutover_unkept_parts', 'cutover_note_kept'
            )
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO %s', made, of_owner);
    END LOOP;
END;
$$;
