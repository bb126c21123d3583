-- Brings the next postings after an id (null: from the first) to the same state on both sides, `count` at
-- most: the events take over what the old rows say, and postings that were never in the old table get a row.
--
--   last          the last posting that was looked at; null if there is none any more
--   seen          how many were looked at
--   imported      how many have an event of it now
--   written_back  how many have a row of it now
--   refused       how many the events do not take over: each is a discrepancy
--
-- Only for the first of them it waits for who writes the old row; before a later one that somebody else
-- has it ends, with those before. So it holds nothing while it waits, and nobody waits in a circle.
CREATE FUNCTION "{schema}".cutover_backfill(
    after INT,
    count INT,
    OUT last INT,
    OUT seen INT,
    OUT imported INT,
    OUT written_back INT,
    OUT refused INT
) RETURNS SETOF RECORD
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    cutover "{schema}".cutovers;
    one INT;
    told TEXT;
    detail TEXT;
BEGIN
    SELECT c.* INTO cutover FROM "{schema}".cutovers c WHERE c.id = 1;
    IF NOT EXISTS (SELECT FROM pg_class t WHERE t.oid = cutover.old_table) THEN
        RAISE EXCEPTION 'there is no cutover of an older system in this store'
            USING ERRCODE = 'ES009', HINT = 'turing cutover create --mapping FILE begins one';
    END IF;
    seen := 0;
    imported := 0;
    written_back := 0;
    refused := 0;
    FOREACH one IN ARRAY coalesce("{schema}".cutover_next_postings(after, count), '{}') LOOP
        EXIT WHEN NOT "{schema}".cutover_hold(one, seen = 0);
        seen := seen + 1;
        last := one;
        BEGIN
            IF "{schema}".cutover_import_parts(one, NULL::text, NULL::text[]) THEN
                imported := imported + 1;
            ELSIF NOT EXISTS (SELECT FROM "{schema}".cutover_old_states o WHERE o.posting_key = one) THEN
                IF "{schema}".cutover_write_row(one, '{}'::jsonb) THEN
                    written_back := written_back + 1;
                END IF;
            END IF;
        EXCEPTION
            WHEN transaction_rollback OR lock_not_available OR insufficient_resources THEN
                RAISE;
            WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS told = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
                refused := refused + 1;
                PERFORM "{schema}".cutover_note_refusal(one, concat_ws('; ', told, nullif(detail, '')));
        END;
    END LOOP;
    RETURN NEXT;
END;
$$;

COMMENT ON FUNCTION "{schema}".cutover_backfill(INT, INT) IS 'brings the next postings to the same state in the old table and in the events';

REVOKE ALL ON FUNCTION "{schema}".cutover_backfill(INT, INT) FROM PUBLIC;
