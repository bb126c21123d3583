-- What the cutover finds: where the old table and the events differ, except for what was accepted, rows that
-- the events did not take over, and triggers that should be there while both sides are written. Until reads
-- are switched the old table is right, from then on the events are.
CREATE FUNCTION "{schema}".cutover_findings()
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
            WHEN d.kind = 'row_unreadable' AND cutover.phase < 4 THEN format(
                'SELECT "{schema}".cutover_resolve(%s, %L::text, ''accepted''::text, ''…''::text)', d.posting_id, d.kind
            )
            ELSE format(
                'SELECT "{schema}".cutover_resolve(%s, %L::text, %L::text, NULL::text)',
                d.posting_id,
                d.kind,
                CASE
                    WHEN d.kind IN ('old_row_missing', 'counter_differs') THEN 'from-events'
                    WHEN d.kind IN ('posting_missing', 'event_missing') OR cutover.phase < 4 THEN 'from-old'
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

REVOKE ALL ON FUNCTION "{schema}".cutover_findings() FROM PUBLIC;

-- As before, with what the cutover of an older system finds.
CREATE OR REPLACE FUNCTION "{schema}".validate_event_store()
RETURNS TABLE (
    kind TEXT,
    severity TEXT,
    aggregate_type TEXT,
    aggregate_id INT,
    detail TEXT,
    repair TEXT
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    last_id INT;
    chunk INT[];
BEGIN
    RETURN QUERY
    SELECT g.kind, 'error', NULL::text, NULL::int, g.detail, g.repair
    FROM "{schema}".unguarded_events() g;

    RETURN QUERY SELECT * FROM "{schema}".misordered_events();

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

        RETURN QUERY
        SELECT
            CASE
                WHEN d.kept_version IS NULL THEN 'projection_missing'
                WHEN d.foldable_version IS NULL THEN 'state_too_large'
                WHEN d.kept_version < d.foldable_version THEN 'projection_stale'
                ELSE 'projection_differs'
            END,
            'error',
            'posting',
            d.posting_id,
            CASE
                WHEN d.kept_version IS NULL THEN 'it has events, but no row in posting_state_projection'
                WHEN d.foldable_version IS NULL THEN
                    format('its row is at event %s; the database cannot hold its state, which programs still can', d.kept_version)
                WHEN d.kept_version <> d.foldable_version THEN
                    format('its row is at event %s, its events that can be folded end with %s', d.kept_version, d.foldable_version)
                ELSE format('its row differs from the replay in %s', array_to_string(d.columns, ', '))
            END,
            CASE
                WHEN d.kept_version IS NULL OR d.foldable_version IS NOT NULL THEN
                    format('SELECT "{schema}".rebuild_posting_state(%s)', d.posting_id)
            END
        FROM "{schema}".differing_posting_states(chunk) d;

        RETURN QUERY
        SELECT
            'event_unreadable',
            'warning',
            'posting',
            e.aggregate_id,
            format(
                '%s of its events cannot be read, the first of them event %s (%s): the row goes over them, and programs refuse the posting',
                count(*), min(e.aggregate_version), (array_agg(e.event_type ORDER BY e.aggregate_version))[1]
            ),
            NULL::text
        FROM "{schema}"."{events}" e
        WHERE e.aggregate_type = 'posting'
            AND e.aggregate_id BETWEEN chunk[1] AND last_id
            AND "{schema}".posting_event_kind(e.event_type, e.event_data, e.metadata) IS NULL
        GROUP BY e.aggregate_id;
    END LOOP;

    RETURN QUERY
    SELECT
        'projection_phantom',
        'error',
        'posting',
        p.posting_id,
        'it has a row in posting_state_projection, but no events',
        format('SELECT "{schema}".rebuild_posting_state(%s)', p.posting_id)
    FROM "{schema}".posting_state_projection p
    WHERE NOT EXISTS (
        SELECT
        FROM "{schema}"."{events}" e
        WHERE e.aggregate_type = 'posting'
            AND e.aggregate_id = p.posting_id
    );

    last_id := NULL;
    LOOP
        SELECT array_agg(c.posting_id ORDER BY c.posting_id) INTO chunk
        FROM (
            SELECT DISTINCT s.posting_id
            FROM "{schema}".posting_state_snapshots s
            WHERE last_id IS NULL OR s.posting_id > last_id
            ORDER BY 1
            LIMIT 100
        ) c;
        EXIT WHEN chunk IS NULL;
        last_id := chunk[cardinality(chunk)];

        RETURN QUERY
        SELECT s.kind, 'error', 'posting', s.posting_id, s.detail, s.repair
        FROM "{schema}".wrong_snapshots(chunk) s;
    END LOOP;

    RETURN QUERY
    SELECT f.kind, 'error', CASE WHEN f.posting_id IS NOT NULL THEN 'posting' END, f.posting_id, f.detail, f.repair
    FROM "{schema}".cutover_findings() f;
END;
$$;
