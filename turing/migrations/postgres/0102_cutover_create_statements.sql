-- As before, and what was written over is kept with the records of an earlier cutover, too.
CREATE OR REPLACE FUNCTION "{schema}".cutover_create_statements() RETURNS SETOF TEXT
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    cutover "{schema}".cutovers;
    base TEXT;
    store_owner NAME;
    part RECORD;
    -- of each argument of cutover_read_row what it is given; what is not mapped is null
    given JSONB := '{}';
BEGIN
    SELECT c.* INTO cutover FROM "{schema}".cutovers c WHERE c.id = 1;
    SELECT r.rolname INTO store_owner
    FROM pg_class c
    JOIN pg_roles r ON r.oid = c.relowner
    WHERE c.oid = '"{schema}"."{events}"'::regclass;
    base := "{schema}".cutover_table(cutover.mapping)::text;
    IF base IS NULL THEN
        RAISE EXCEPTION 'there is no table %.%, which the mapping names', cutover.mapping ->> 'schema', cutover.mapping ->> 'table'
            USING ERRCODE = 'undefined_table', HINT = 'cutover_check_mapping says what is wrong with a mapping';
    END IF;
    FOR part IN
        SELECT m.key, format('b.%I', a.attname) AS name, t.typname::text AS type, t.typcategory = 'A' AS is_array
        FROM jsonb_each_text(cutover.mapping) m
        JOIN pg_attribute a ON a.attrelid = "{schema}".cutover_table(cutover.mapping) AND a.attname = m.value AND a.attnum > 0
        JOIN pg_type t ON t.oid = "{schema}".cutover_base_type(a.atttypid)
        WHERE m.key IN ('posting_id', 'current', 'outputs', 'history', 'terminal', 'updated_at', 'counter')
    LOOP
        given := given || CASE
            WHEN part.key IN ('outputs', 'history') AND part.type = 'jsonb' THEN
                jsonb_build_object(part.key, part.name || '::pg_catalog.jsonb')
            WHEN part.key = 'history' AND part.is_array THEN jsonb_build_object(part.key, format('pg_catalog.to_jsonb(%s)', part.name))
            WHEN part.key IN ('outputs', 'history') THEN jsonb_build_object(part.key || '_text', part.name || '::text')
            WHEN part.key = 'current' THEN jsonb_build_object(part.key, part.name || '::text')
            WHEN part.key = 'terminal' THEN jsonb_build_object(part.key, part.name || '::boolean')
            WHEN part.key = 'updated_at' THEN jsonb_build_object(
                part.key, CASE part.type WHEN 'timestamptz' THEN part.name || '::timestamptz' ELSE format('(%s AT TIME ZONE ''UTC'')', part.name) END
            )
            ELSE jsonb_build_object(part.key, part.name || '::bigint')
        END;
    END LOOP;

    RETURN NEXT 'SET LOCAL search_path = pg_catalog, pg_temp';
    -- before the row of cutovers names the next table
    RETURN NEXT $statement$INSERT INTO "{schema}".cutover_past_discrepancies (
    cutover, old_table, discrepancy_id, posting_id, kind, field, old, new, first_seen, last_seen, sightings,
    resolved_at, resolution, resolved_by, reason, accepted_before, old_row, events_state
)
SELECT
    coalesce((
        SELECT max(e.aggregate_version)
        FROM "{schema}"."{events}" e
        WHERE e.aggregate_type = 'cutover'
            AND e.aggregate_id = 1
            AND e.event_type = 'cutover_created'
    ), 0),
    format('%I.%I', c.old_schema, c.old_name),
    d.discrepancy_id, d.posting_id, d.kind, d.field, d.old, d.new, d.first_seen, d.last_seen, d.sightings,
    d.resolved_at, d.resolution, d.resolved_by, d.reason, d.accepted_before, d.old_row, d.events_state
FROM "{schema}".cutover_discrepancies d
CROSS JOIN "{schema}".cutovers c$statement$;
    RETURN NEXT 'DELETE FROM "{schema}".cutover_discrepancies';
    RETURN NEXT format(
        'UPDATE "{schema}".cutovers SET old_schema = %L, old_name = %L, old_table = %L::regclass, columns_digest = %L WHERE id = 1',
        cutover.mapping ->> 'schema', cutover.mapping ->> 'table', base, "{schema}".cutover_columns(cutover.mapping)
    );
    RETURN NEXT 'DROP VIEW IF EXISTS "{schema}".cutover_old_states';
    RETURN NEXT format(
        $view$CREATE VIEW "{schema}".cutover_old_states AS
SELECT
    r.posting_id,
    r.current_conversation_id,
    r.execution_sequence,
    r.outputs,
    r.is_terminal,
    %9$s AS updated_at,
    r.counter,
    r.problem,
    "{schema}".cutover_row_text(b.*) AS row_text,
    %1$s AS posting_key,
    r.problem_column
FROM %10$s b
CROSS JOIN LATERAL "{schema}".cutover_read_row(
    %11$L::jsonb, %1$s::bigint, %2$s, %3$s, %4$s, %5$s, %6$s, %7$s, %8$s
) r$view$,
        (SELECT format('b.%I', cutover.mapping ->> 'posting_id')),
        coalesce(given ->> 'current', 'NULL::text'),
        coalesce(given ->> 'outputs', 'NULL::jsonb'),
        coalesce(given ->> 'outputs_text', 'NULL::text'),
        coalesce(given ->> 'history', 'NULL::jsonb'),
        coalesce(given ->> 'history_text', 'NULL::text'),
        coalesce(given ->> 'terminal', 'NULL::boolean'),
        coalesce(given ->> 'counter', 'NULL::bigint'),
        coalesce(given ->> 'updated_at', 'NULL::timestamptz'),
        base,
        cutover.mapping
    );
    RETURN NEXT 'COMMENT ON VIEW "{schema}".cutover_old_states IS ''what the old table of the cutover says of postings''';
    IF store_owner <> current_user THEN
        RETURN NEXT format('ALTER VIEW "{schema}".cutover_old_states OWNER TO %I', store_owner);
    END IF;
    RETURN QUERY SELECT * FROM "{schema}".cutover_grants('"{schema}".cutovers'::regclass::oid, '"{schema}".cutover_old_states'::text) g
    WHERE g LIKE 'GRANT SELECT%';
    RETURN NEXT 'UPDATE "{schema}".cutovers SET forms = "{schema}".cutover_forms() WHERE id = 1';
END;
$$;
