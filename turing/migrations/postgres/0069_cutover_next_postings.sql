-- The next postings of which the old table, the events or an open discrepancy knows, in the order of their
-- ids: `count` at most, from the beginning where `after` is null. Null if there is none.
CREATE FUNCTION "{schema}".cutover_next_postings(after INT, count INT) RETURNS INT[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
DECLARE
    cutover "{schema}".cutovers;
    -- beyond every id, after the last one
    first CONSTANT BIGINT := coalesce(after + 1::bigint, -2147483648);
    known INT[];
BEGIN
    SELECT c.* INTO cutover FROM "{schema}".cutovers c WHERE c.id = 1;
    IF NOT EXISTS (SELECT FROM pg_class t WHERE t.oid = cutover.old_table) THEN
        RETURN NULL;
    END IF;
    EXECUTE format(
        $query$
            SELECT array_agg(n.id ORDER BY n.id)
            FROM (
                SELECT i.id
                FROM (
                    (
                        SELECT b.%1$I::int AS id FROM %2$s b
                        WHERE b.%1$I >= $1 AND b.%1$I <= 2147483647
                        ORDER BY b.%1$I LIMIT $2
                    )
                    UNION
                    (
                        SELECT p.posting_id FROM "{schema}".posting_state_rows p
                        WHERE p.posting_id >= $1
                        ORDER BY p.posting_id LIMIT $2
                    )
                    UNION
                    (
                        SELECT DISTINCT d.posting_id FROM "{schema}".cutover_discrepancies d
                        WHERE d.posting_id >= $1
                            AND d.resolved_at IS NULL
                        ORDER BY d.posting_id LIMIT $2
                    )
                ) i
                ORDER BY i.id
                LIMIT $2
            ) n
        $query$,
        cutover.mapping ->> 'posting_id', cutover.old_table
    ) INTO known USING first, count;
    RETURN known;
END;
$$;

REVOKE ALL ON FUNCTION "{schema}".cutover_next_postings(INT, INT) FROM PUBLIC;
