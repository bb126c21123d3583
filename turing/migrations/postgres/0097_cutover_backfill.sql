-- As before, and what was accepted to differ is not taken over.
CREATE OR REPLACE FUNCTION "{schema}".cutover_backfill(
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
            IF "{schema}".cutover_import_parts(one, NULL::text, "{schema}".cutover_unkept_parts(one)) THEN
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
