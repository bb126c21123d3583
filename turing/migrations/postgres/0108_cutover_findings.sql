-- As before, with no repair that would empty an old row of whose posting the events say nothing.
CREATE OR REPLACE FUNCTION "{schema}".cutover_findings()
RETURNS TABLE (kind TEXT, posting_id INT, detail TEXT, repair TEXT)
LANGUAGE plpgsql STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    cutover "{schema}".cutovers;
BEGIN
    SELECT c.* INTO cutover
    FROM "{schema}".cutovers c
    WHERE c.id = 1
        AND c.phase BETWEEN 2 AND 4;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_class t WHERE t.oid = cutover.old_table) THEN
        RETURN QUERY SELECT
            'cutover_table_missing',
            NULL::int,
            format(
                'the old table %I.%I is gone, and nothing is written twice any more; turing cutover rollback ends the cutover',
                cutover.old_schema, cutover.old_name
            ),
            NULL::text;
        RETURN;
    END IF;
    RETURN QUERY
    SELECT
        'cutover_trigger_missing',
        NULL::int,
        format('the trigger %I of %s %s, so the old table and the events go apart', t.name, t.relation,
            CASE WHEN min(g.tgenabled) IS NULL THEN 'is not there' ELSE 'does not work in every session' END),
        string_agg(t.statement, '; ' ORDER BY t.number) FILTER (WHERE g.tgenabled IS NULL OR t.number > 1)
    FROM (
        SELECT s.*, row_number() OVER (PARTITION BY s.name ORDER BY s.statement DESC) AS number
        FROM "{schema}".cutover_trigger_statements(cutover.old_table, cutover.mapping ->> 'posting_id', TRUE) s
    ) t
    LEFT JOIN pg_trigger g ON g.tgname = t.name
        AND g.tgrelid = CASE WHEN t.place > 3 THEN '"{schema}"."{events}"'::regclass ELSE cutover.old_table END
    WHERE g.tgenabled IS DISTINCT FROM 'A'
    GROUP BY t.place, t.name, t.relation
    ORDER BY t.place;

    RETURN QUERY
    SELECT
        'cutover_' || d.kind,
        d.posting_id,
        CASE d.kind
            WHEN 'row_unreadable' THEN format('its row in %s cannot be read: %s', cutover.old_table, d.new)
            WHEN 'posting_missing' THEN format('it has a row in %s, and is not registered: %s', cutover.old_table, d.old)
            WHEN 'event_missing' THEN format('it has a row in %s, and no events: %s', cutover.old_table, d.old)
            WHEN 'old_row_missing' THEN format('it has events, and no row in %s: %s', cutover.old_table, d.new)
            ELSE format('%s is %s in %s, and %s by its events', quote_ident(d.field), coalesce(d.old, 'null'), cutover.old_table, coalesce(d.new, 'null'))
        END,
        CASE
            -- only its writer knows whose it is
            WHEN d.posting_id IS NULL THEN NULL
            WHEN d.kind = 'row_unreadable' AND (cutover.phase < 4 OR "{schema}".cutover_would_empty(d.posting_id)) THEN format(
                'SELECT "{schema}".cutover_resolve(%s, %L::text, ''accepted''::text, ''…''::text)', d.posting_id, d.kind
            )
            ELSE format(
                'SELECT "{schema}".cutover_resolve(%s, %L::text, %L::text, NULL::text)',
                d.posting_id,
                d.kind,
                CASE
                    WHEN d.kind IN ('old_row_missing', 'counter_differs') THEN 'from-events'
                    WHEN d.kind IN ('posting_missing', 'event_missing')
                        OR cutover.phase < 4
                        OR "{schema}".cutover_would_empty(d.posting_id)
                    THEN 'from-old'
                    ELSE 'from-events'
                END
            )
        END
    FROM "{schema}".cutover_differences(NULL::int[]) d
    WHERE NOT "{schema}".cutover_is_accepted(d.posting_id, d.kind, d.field, d.old, d.new);

    RETURN QUERY
    SELECT
        'cutover_' || d.kind,
        d.posting_id,
        format('its row in %s was written, and its events did not take that over: %s', cutover.old_table, d.new),
        format('SELECT "{schema}".cutover_resolve(%s, %L::text, ''from-old''::text, NULL::text)', d.posting_id, d.kind)
    FROM "{schema}".cutover_discrepancies d
    WHERE d.resolved_at IS NULL
        AND d.kind = 'import_refused'
    ORDER BY d.posting_id;
END;
$$;
