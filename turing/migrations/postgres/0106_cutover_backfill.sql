-- As before, but it ends after a moment as well, for who writes one of these postings waits until the transaction ends;
-- at least one is looked at. What a round of validation has noted of postings that agree now is over.
CREATE FUNCTION "{schema}".cutover_backfill(
    after INT,
    count INT,
    moment INTERVAL,
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
    began TIMESTAMPTZ;
    -- those that both sides may agree about now
    done INT[] := '{}';
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
        EXIT WHEN seen > 0 AND clock_timestamp() - began >= moment;
        EXIT WHEN NOT "{schema}".cutover_hold(one, seen = 0);
        -- before the first one is held nobody waits
        began := coalesce(began, clock_timestamp());
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
            done := done || one;
        EXCEPTION
            WHEN transaction_rollback OR lock_not_available OR insufficient_resources THEN
                RAISE;
            WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS told = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
                refused := refused + 1;
                PERFORM "{schema}".cutover_note_refusal(one, concat_ws('; ', told, nullif(detail, '')));
        END;
    END LOOP;
    -- what a round of validation has found before of these is over as soon as they agree
    done := ARRAY(
        SELECT DISTINCT d.posting_id
        FROM "{schema}".cutover_discrepancies d
        WHERE d.posting_id = ANY (done)
            AND d.resolved_at IS NULL
    );
    IF done <> '{}' THEN
        PERFORM "{schema}".cutover_write_down(done, FALSE);
    END IF;
    RETURN NEXT;
END;
$$;

-- The same however long it takes.
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
BEGIN
    RETURN QUERY
    SELECT b.last, b.seen, b.imported, b.written_back, b.refused
    FROM "{schema}".cutover_backfill(cutover_backfill.after, cutover_backfill.count, NULL::interval) b;
END;
$$;

REVOKE ALL ON FUNCTION "{schema}".cutover_backfill(INT, INT, INTERVAL) FROM PUBLIC;

DO $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION "{schema}".cutover_backfill(INT, INT, INTERVAL) OWNER TO %s',
        (
            SELECT p.proowner::regrole
            FROM pg_catalog.pg_proc p
            WHERE p.oid = '"{schema}".cutover_backfill(INT, INT)'::regprocedure
        )
    );
END;
$$;
