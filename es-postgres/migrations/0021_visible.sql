-- The highest visible position. What an open transaction has inserted is passed over row by row to find
-- it, so while somebody is known to be open it is looked for among the newest thousand positions, and then
-- only below what is known of those.
--
-- Not only below: where writers overlap without end somebody who is known is open at every look, and the
-- position below which the next ones cannot have drawn would never grow. The log would stand still.
CREATE OR REPLACE FUNCTION "{schema}"."{events}_visible"(known TEXT[], lows BIGINT[]) RETURNS BIGINT
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
DECLARE
    bound BIGINT := 9223372036854775807;
    newest BIGINT;
    highest BIGINT;
BEGIN
    IF cardinality(known) > 0 THEN
        SELECT min(l) INTO bound
        FROM unnest((SELECT h.holder_lows FROM "{schema}"."{events}_holders"(known, lows, NULL::bigint) h)) l;
        IF bound IS NOT NULL THEN
            newest := greatest(bound, "{schema}"."{events}_drawn"() - 1000);
            SELECT e.position INTO highest
            FROM "{schema}"."{events}" e
            WHERE e.position > newest
            ORDER BY e.position DESC
            LIMIT 1;
            IF highest IS NOT NULL THEN
                RETURN highest;
            END IF;
        END IF;
        bound := coalesce(bound, 9223372036854775807);
    END IF;
    SELECT e.position INTO highest
    FROM "{schema}"."{events}" e
    WHERE e.position <= bound
    ORDER BY e.position DESC
    LIMIT 1;
    RETURN coalesce(highest, 0);
END;
$$;
