-- Writes down where these postings differ, or all where `posting_ids` is null: what is new, what is there
-- still, and that others agree now. What was accepted is left alone while it is what it was, and is to be accepted anew if it comes about again. `beyond` says
-- that rows without a posting's id are looked at, too.
CREATE FUNCTION "{schema}".cutover_write_down(posting_ids INT[], beyond BOOLEAN) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found JSONB;
    known BIGINT[];
BEGIN
    -- before differences are looked up: what somebody notes from here on is of a later view of the database
    SELECT coalesce(array_agg(o.discrepancy_id), '{}') INTO known
    FROM "{schema}".cutover_discrepancies o
    WHERE (o.resolved_at IS NULL OR o.resolution = 'accepted')
        AND (o.posting_id = ANY (posting_ids) OR beyond AND o.posting_id IS NULL);
    -- differences are looked up once, in one view of the database
    SELECT coalesce(jsonb_agg(to_jsonb(d)), '[]') INTO found
    FROM "{schema}".cutover_differences(posting_ids) d;
    IF beyond THEN
        SELECT found || coalesce(jsonb_agg(jsonb_build_object(
            'posting_id', NULL, 'kind', 'row_unreadable', 'field', o.problem_column, 'old', o.posting_key::text,
            'new', "{schema}".cutover_short(o.problem)
        )), '[]') INTO found
        FROM "{schema}".cutover_old_states o
        WHERE o.posting_key < -2147483648
            OR o.posting_key > 2147483647;
    END IF;

    WITH differences AS (
        SELECT d.posting_id, d.kind, d.field, d.old, d.new
        FROM jsonb_to_recordset(found) d (posting_id INT, kind TEXT, field TEXT, old TEXT, new TEXT)
    ),
    looked_at AS (
        SELECT
            o.discrepancy_id,
            d.kind IS NOT NULL AS is_there,
            d.old,
            d.new,
            -- of several that are the same, one is enough
            row_number() OVER (PARTITION BY o.posting_id, o.kind, o.field, CASE WHEN o.posting_id IS NULL THEN o.old END ORDER BY o.discrepancy_id) AS number
        FROM "{schema}".cutover_discrepancies o
        LEFT JOIN differences d ON d.kind = o.kind
            AND d.field IS NOT DISTINCT FROM o.field
            AND (d.posting_id = o.posting_id OR d.posting_id IS NULL AND o.posting_id IS NULL AND d.old = o.old)
        WHERE o.resolved_at IS NULL
            AND o.discrepancy_id = ANY (known)
            -- for what reason a row was not taken over matters until it agrees
            AND (o.kind <> 'import_refused' OR NOT EXISTS (
                SELECT FROM differences e WHERE e.posting_id = o.posting_id
            ))
    )
    UPDATE "{schema}".cutover_discrepancies o
    SET last_seen = CASE WHEN l.is_there THEN now() ELSE o.last_seen END,
        sightings = o.sightings + CASE WHEN l.is_there THEN 1 ELSE 0 END,
        old = CASE WHEN l.is_there THEN l.old ELSE o.old END,
        new = CASE WHEN l.is_there THEN l.new ELSE o.new END,
        resolved_at = CASE WHEN NOT l.is_there OR l.number > 1 THEN now() END,
        resolution = CASE WHEN NOT l.is_there OR l.number > 1 THEN 'agrees' END,
        resolved_by = CASE WHEN NOT l.is_there OR l.number > 1 THEN session_user END
    FROM looked_at l
    WHERE o.discrepancy_id = l.discrepancy_id;

    -- what was accepted is accepted until it is over, and not when it comes about again
    UPDATE "{schema}".cutover_discrepancies o
    SET resolved_at = now(), resolution = 'agrees', resolved_by = session_user
    WHERE o.resolution = 'accepted'
        AND o.discrepancy_id = ANY (known)
        AND NOT EXISTS (
            SELECT
            FROM jsonb_to_recordset(found) d (posting_id INT, kind TEXT, field TEXT, old TEXT, new TEXT)
            WHERE d.posting_id IS NOT DISTINCT FROM o.posting_id
                AND (
                    o.kind = 'import_refused'
                    OR d.kind = o.kind
                    AND d.field IS NOT DISTINCT FROM o.field
                    AND d.old IS NOT DISTINCT FROM o.old
                    AND d.new IS NOT DISTINCT FROM o.new
                )
        );

    INSERT INTO "{schema}".cutover_discrepancies (posting_id, kind, field, old, new)
    SELECT d.posting_id, d.kind, d.field, d.old, d.new
    FROM jsonb_to_recordset(found) d (posting_id INT, kind TEXT, field TEXT, old TEXT, new TEXT)
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
        );
END;
$$;

-- A step of a round of validation: the next postings after an id (null: from the first), `count` at most.
-- `last` is the last of them, null if there is none any more, and `open` how many discrepancies they have;
-- with the last step of a round also those that rows without a posting's id have.
CREATE FUNCTION "{schema}".cutover_validate(
    after INT,
    count INT,
    OUT last INT,
    OUT seen INT,
    OUT open INT
) RETURNS SETOF RECORD
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    chunk CONSTANT INT[] := coalesce("{schema}".cutover_next_postings(after, cutover_validate.count), '{}');
BEGIN
    IF NOT EXISTS (SELECT FROM "{schema}".cutovers c JOIN pg_class t ON t.oid = c.old_table) THEN
        RAISE EXCEPTION 'there is no cutover of an older system in this store'
            USING ERRCODE = 'ES009', HINT = 'turing cutover create --mapping FILE begins one';
    END IF;
    seen := cardinality(chunk);
    last := chunk[seen];
    PERFORM "{schema}".cutover_write_down(chunk, seen < cutover_validate.count);
    SELECT pg_catalog.count(*) INTO open
    FROM "{schema}".cutover_discrepancies d
    WHERE d.resolved_at IS NULL
        AND (d.posting_id = ANY (chunk) OR d.posting_id IS NULL AND seen < cutover_validate.count);
    RETURN NEXT;
END;
$$;

COMMENT ON FUNCTION "{schema}".cutover_validate(INT, INT) IS 'compares the next postings in the old table and in the events, and keeps what differs in cutover_discrepancies';

REVOKE ALL ON FUNCTION
    "{schema}".cutover_write_down(INT[], BOOLEAN),
    "{schema}".cutover_validate(INT, INT)
FROM PUBLIC;
