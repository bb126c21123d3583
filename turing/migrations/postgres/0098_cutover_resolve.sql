-- As before, and what differs otherwise than was accepted names the acceptance that it takes the place of. The one
-- that was accepted is 'changed' then, with who accepted it and when.
CREATE OR REPLACE FUNCTION "{schema}".cutover_write_down(posting_ids INT[], beyond BOOLEAN) RETURNS void
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

    INSERT INTO "{schema}".cutover_discrepancies (posting_id, kind, field, old, new, accepted_before)
    SELECT
        d.posting_id, d.kind, d.field, d.old, d.new,
        "{schema}".cutover_accepted_before(d.posting_id, d.kind)
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

    -- what was accepted is accepted until it is over, and not when it comes about again; who accepted what differs
    -- otherwise now, and when, is kept
    UPDATE "{schema}".cutover_discrepancies o
    SET resolution = CASE WHEN w.differs THEN 'changed' ELSE 'agrees' END,
        resolved_at = CASE WHEN w.differs THEN o.resolved_at ELSE now() END,
        resolved_by = CASE WHEN w.differs THEN o.resolved_by ELSE session_user END
    FROM (
        SELECT a.discrepancy_id, EXISTS (
            SELECT
            FROM jsonb_to_recordset(found) d (posting_id INT, kind TEXT, field TEXT)
            WHERE d.posting_id = a.posting_id
                AND d.kind = a.kind
                AND d.field IS NOT DISTINCT FROM a.field
        ) AS differs
        FROM "{schema}".cutover_discrepancies a
        WHERE a.resolution = 'accepted'
            AND a.discrepancy_id = ANY (known)
    ) w
    WHERE o.discrepancy_id = w.discrepancy_id
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
END;
$$;

-- As before, without what is accepted of other parts of the posting.
CREATE OR REPLACE FUNCTION "{schema}".cutover_resolve(posting_id INT, kind TEXT, resolution TEXT, reason TEXT) RETURNS INT
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    touched INT[];
    chosen BIGINT[];
    one INT;
    resolved INT;
    taken TEXT[];
    unkept TEXT[];
    -- null: all
    parts CONSTANT TEXT[] := CASE kind
        WHEN 'current_differs' THEN '{current}'
        WHEN 'sequence_differs' THEN '{history}'
        WHEN 'outputs_differ' THEN '{outputs}'
        WHEN 'terminal_differs' THEN '{terminal}'
        WHEN 'counter_differs' THEN '{counter}'
    END;
BEGIN
    IF resolution IS NULL OR resolution NOT IN ('from-old', 'from-events', 'accepted') THEN
        RAISE EXCEPTION 'a discrepancy is not resolved by %', coalesce(quote_literal(resolution), 'null')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'say from-old, from-events or accepted';
    END IF;
    IF resolution = 'accepted' AND btrim(coalesce(reason, '')) = '' THEN
        RAISE EXCEPTION 'a discrepancy is accepted for a reason' USING ERRCODE = 'invalid_parameter_value', HINT = 'give one';
    END IF;
    IF NOT EXISTS (SELECT FROM "{schema}".cutovers c JOIN pg_class t ON t.oid = c.old_table) THEN
        RAISE EXCEPTION 'there is no cutover of an older system in this store'
            USING ERRCODE = 'ES009', HINT = 'turing cutover create --mapping FILE begins one';
    END IF;

    -- what no round of validation has seen yet counts, too
    IF cutover_resolve.posting_id IS NOT NULL THEN
        PERFORM "{schema}".cutover_write_down(ARRAY[cutover_resolve.posting_id], FALSE);
    END IF;
    SELECT
        coalesce(array_agg(d.discrepancy_id), '{}'),
        coalesce(array_agg(DISTINCT d.posting_id ORDER BY d.posting_id) FILTER (WHERE d.posting_id IS NOT NULL), '{}')
    INTO chosen, touched
    FROM "{schema}".cutover_discrepancies d
    WHERE d.resolved_at IS NULL
        AND (cutover_resolve.posting_id IS NULL OR d.posting_id = cutover_resolve.posting_id)
        AND (cutover_resolve.kind IS NULL OR d.kind = cutover_resolve.kind);

    IF resolution <> 'accepted' THEN
        FOREACH one IN ARRAY touched LOOP
            IF NOT "{schema}".cutover_hold(one, FALSE) THEN
                RAISE EXCEPTION 'the old row of posting % is being written by another transaction; try again', one
                    USING ERRCODE = 'serialization_failure';
            END IF;
            taken := parts;
            unkept := "{schema}".cutover_unkept_parts(one);
            -- what is accepted is none of those that are resolved
            IF parts IS NULL AND unkept IS NOT NULL THEN
                taken := unkept || ARRAY(
                    SELECT "{schema}".cutover_part(d.kind)
                    FROM "{schema}".cutover_discrepancies d
                    WHERE d.discrepancy_id = ANY (chosen)
                        AND d.posting_id = one
                        AND "{schema}".cutover_part(d.kind) IS NOT NULL
                );
            END IF;
            IF resolution = 'from-old' THEN
                PERFORM "{schema}".cutover_import_parts(one, NULL::text, taken);
            ELSE
                PERFORM "{schema}".cutover_write_row(one, '{}'::jsonb, taken);
            END IF;
        END LOOP;
        -- those that are still there stay open
        SELECT coalesce(array_agg(d.discrepancy_id), '{}') INTO chosen
        FROM "{schema}".cutover_discrepancies d
        WHERE d.discrepancy_id = ANY (chosen)
            AND d.posting_id IS NOT NULL
            AND NOT EXISTS (
                SELECT
                FROM "{schema}".cutover_differences(ARRAY[d.posting_id]) n
                WHERE n.kind = d.kind
                    AND n.field IS NOT DISTINCT FROM d.field
                    OR d.kind = 'import_refused'
            );
    END IF;
    UPDATE "{schema}".cutover_discrepancies d
    SET resolved_at = now(),
        resolution = cutover_resolve.resolution,
        resolved_by = session_user,
        reason = cutover_resolve.reason
    WHERE d.discrepancy_id = ANY (chosen);
    GET DIAGNOSTICS resolved = ROW_COUNT;
    RETURN resolved;
END;
$$;
