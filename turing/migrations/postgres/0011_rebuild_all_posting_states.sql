-- Folds every posting anew and writes the rows that are missing or differ, thousand postings at a
-- time; answers how many rows it wrote or removed. Rows that are right are not locked, so writers wait
-- for no more than what is wrong.
CREATE FUNCTION "{schema}".rebuild_all_posting_states() RETURNS BIGINT
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
DECLARE
    last_id INT;
    chunk INT[];
    wrong INT[];
    stranger INT;
    written BIGINT := 0;
BEGIN
    LOOP
        SELECT array_agg(c.posting_id ORDER BY c.posting_id) INTO chunk
        FROM (
            SELECT DISTINCT e.aggregate_id AS posting_id
            FROM "{schema}"."{events}" e
            WHERE e.aggregate_type = 'posting'
                AND (last_id IS NULL OR e.aggregate_id > last_id)
            ORDER BY 1
            LIMIT 1000
        ) c;
        EXIT WHEN chunk IS NULL;
        last_id := chunk[cardinality(chunk)];

        SELECT array_agg(d.posting_id) INTO wrong
        FROM "{schema}".differing_posting_states(chunk) d
        WHERE d.kept_version IS NULL
            OR d.foldable_version IS NOT NULL;
        IF wrong IS NOT NULL THEN
            PERFORM "{schema}".fold_posting_states(wrong);
            written := written + cardinality(wrong);
        END IF;
    END LOOP;

    FOR stranger IN
        SELECT p.posting_id
        FROM "{schema}".posting_state_projection p
        WHERE NOT EXISTS (
            SELECT
            FROM "{schema}"."{events}" e
            WHERE e.aggregate_type = 'posting'
                AND e.aggregate_id = p.posting_id
        )
        ORDER BY p.posting_id
    LOOP
        PERFORM "{schema}".rebuild_posting_state(stranger);
        written := written + 1;
    END LOOP;
    RETURN written;
END;
$$;

COMMENT ON FUNCTION "{schema}".rebuild_all_posting_states() IS 'folds all postings anew, writes the rows that were wrong and answers how many these were';
