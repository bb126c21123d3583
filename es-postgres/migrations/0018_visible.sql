-- The highest visible position. What an open transaction has inserted is passed over row by row to find
-- it, so it is looked for only below what is known of those who are still open: nothing above that can
-- be read in any case.
--
-- As before, with the types of all arguments: an untyped one lets a function of the same name be meant that
-- somebody else has made in this schema.
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
    highest BIGINT;
BEGIN
    IF cardinality(known) > 0 THEN
        SELECT coalesce(min(l), bound) INTO bound
        FROM unnest((SELECT h.holder_lows FROM "{schema}"."{events}_holders"(known, lows, NULL::bigint) h)) l;
    END IF;
    SELECT e.position INTO highest
    FROM "{schema}"."{events}" e
    WHERE e.position <= bound
    ORDER BY e.position DESC
    LIMIT 1;
    RETURN coalesce(highest, 0);
END;
$$;
