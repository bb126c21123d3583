-- See cutover_statements.
CREATE FUNCTION "{schema}".cutover_deprecate_statements(cutover "{schema}".cutovers, action TEXT) RETURNS SETOF TEXT
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    base_name CONSTANT TEXT := "{schema}".cutover_name(cutover.old_name, '_base'::text);
    deprecated_name CONSTANT TEXT := "{schema}".cutover_name(cutover.old_name, '_deprecated'::text);
    shown CONSTANT TEXT := format('%I.%I', cutover.old_schema, cutover.old_name);
    bound TEXT;
BEGIN
    IF action <> 'undo-deprecate' THEN
        SELECT string_agg(format('%s %s', d.kind, d.name), ', ' ORDER BY d.kind, d.name) INTO bound
        FROM "{schema}".cutover_dependents(cutover.old_table::oid) d;
        IF bound IS NOT NULL THEN
            RAISE EXCEPTION '% is bound to by what would go on with a table that nobody writes any more: %', cutover.old_table, bound
                USING ERRCODE = 'dependent_objects_still_exist',
                    HINT = format('make these again over %s, or drop them; foreign keys can refer to "{schema}".postings', shown);
        END IF;
    END IF;
    RETURN NEXT 'SET LOCAL search_path = pg_catalog, pg_temp';
    -- the view first, which is bound to the table whatever its name is: so writers take them, too
    RETURN NEXT CASE action
        WHEN 'deprecate' THEN "{schema}".cutover_view('deprecated'::text, cutover.old_table::text)
        WHEN 'undo-deprecate' THEN "{schema}".cutover_view('switched'::text, cutover.old_table::text)
        ELSE "{schema}".cutover_view('dropped'::text, NULL::text)
    END;
    RETURN NEXT format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', cutover.old_table);
    IF action = 'drop' THEN
        -- a default may be from a sequence that goes with the table
        RETURN QUERY
        SELECT format('ALTER VIEW %s ALTER COLUMN %I DROP DEFAULT', shown, a.attname)
        FROM pg_attrdef d
        JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
        JOIN pg_class c ON c.oid = d.adrelid AND c.relname = cutover.old_name AND c.relkind = 'v'
        JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = cutover.old_schema
        ORDER BY a.attnum;
        RETURN NEXT format('COMMENT ON VIEW %s IS %L', shown, 'the states of postings, from the events');
        RETURN NEXT 'DROP VIEW "{schema}".cutover_old_states';
        RETURN NEXT format('DROP TABLE %s', cutover.old_table);
        RETURN QUERY
        SELECT format('DROP FUNCTION %s', p.oid::regprocedure)
        FROM pg_proc p
        WHERE p.pronamespace = '"{schema}"'::regnamespace
            AND p.proname = 'cutover_view_json';
        RETURN NEXT 'UPDATE "{schema}".cutovers SET old_table = NULL WHERE id = 1';
        RETURN;
    END IF;
    RETURN NEXT 'LOCK TABLE "{schema}"."{events}" IN ACCESS EXCLUSIVE MODE';
    IF action = 'deprecate' THEN
        RETURN QUERY
        SELECT t.statement
        FROM "{schema}".cutover_trigger_statements(cutover.old_table, cutover.mapping ->> 'posting_id', FALSE) t;
        RETURN NEXT format('ALTER TABLE %s RENAME TO %I', cutover.old_table, deprecated_name);
    ELSE
        RETURN QUERY
        SELECT t.statement
        FROM "{schema}".cutover_trigger_statements(cutover.old_table, cutover.mapping ->> 'posting_id', TRUE) t;
        RETURN NEXT format('ALTER TABLE %s RENAME TO %I', cutover.old_table, base_name);
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION "{schema}".cutover_deprecate_statements("{schema}".cutovers, TEXT) FROM PUBLIC;
