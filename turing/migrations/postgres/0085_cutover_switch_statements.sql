-- See cutover_statements. What was read from the old table, and by whom, reads from the view.
CREATE FUNCTION "{schema}".cutover_switch_statements(cutover "{schema}".cutovers) RETURNS SETOF TEXT
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    base_name CONSTANT TEXT := "{schema}".cutover_name(cutover.old_name, '_base'::text);
    base CONSTANT TEXT := format('%I.%I', cutover.old_schema, base_name);
    shown CONSTANT TEXT := format('%I.%I', cutover.old_schema, cutover.old_name);
    view TEXT := "{schema}".cutover_view('switched'::text, base);
    owner RECORD;
BEGIN
    SELECT r.oid, r.rolname INTO owner
    FROM pg_class c
    JOIN pg_roles r ON r.oid = c.relowner
    WHERE c.oid = cutover.old_table;
    RETURN NEXT 'SET LOCAL search_path = pg_catalog, pg_temp';
    RETURN NEXT format('DROP VIEW IF EXISTS %s', base);
    RETURN NEXT format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', cutover.old_table);
    RETURN NEXT format('ALTER TABLE %s RENAME TO %I', cutover.old_table, base_name);
    RETURN QUERY SELECT * FROM "{schema}".cutover_view_json_statements(view);
    RETURN NEXT view;
    RETURN NEXT format('COMMENT ON VIEW %s IS %L', shown, format('the states of postings, from the events; %s has what else its rows have', base));
    RETURN QUERY SELECT * FROM "{schema}".cutover_owner_statements(cutover, shown);
    -- that the view's owner may read them is taken back with the view
    IF NOT has_table_privilege(owner.oid, '"{schema}".posting_state_projection'::regclass, 'SELECT') THEN
        RETURN NEXT format('GRANT SELECT ON "{schema}".posting_state_projection TO %I', owner.rolname);
        RETURN NEXT 'UPDATE "{schema}".cutovers SET forms = forms || ''{"is_granted": true}'' WHERE id = 1';
    END IF;
    RETURN QUERY
    SELECT format('ALTER VIEW %s ALTER COLUMN %I SET DEFAULT %s', shown, a.attname, pg_get_expr(d.adbin, d.adrelid))
    FROM pg_attrdef d
    JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum AND NOT a.attisdropped AND a.attgenerated = ''
    WHERE d.adrelid = cutover.old_table
    ORDER BY a.attnum;
    RETURN NEXT format(
        'CREATE TRIGGER cutover_view_written INSTEAD OF INSERT OR UPDATE OR DELETE ON %s '
        'FOR EACH ROW EXECUTE FUNCTION "{schema}".cutover_view_written()',
        shown
    );
    RETURN QUERY SELECT * FROM "{schema}".cutover_grants(cutover.old_table::oid, shown);
    RETURN QUERY
    SELECT d.statement FROM "{schema}".cutover_dependents(cutover.old_table::oid) d
    WHERE d.statement IS NOT NULL;
END;
$$;

-- The function by which a view reads JSON that is no jsonb. It is everybody's who reads the view, so it is not
-- among the functions that the migrations make, which are nobody's.
CREATE FUNCTION "{schema}".cutover_view_json_statements(view TEXT) RETURNS SETOF TEXT
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    made CONSTANT TEXT := '"{schema}".' || 'cutover_view_json(TEXT)';
BEGIN
    IF position('cutover_view_json(' IN view) = 0 THEN
        RETURN;
    END IF;
    RETURN NEXT format('CREATE OR REPLACE FUNCTION %s', '"{schema}".')
        || E'cutover_view_json(written TEXT) RETURNS JSONB\nLANGUAGE plpgsql IMMUTABLE\n'
        || E'SET search_path = pg_catalog, pg_temp\nAS $body$\nBEGIN\n    RETURN written::jsonb;\nEXCEPTION\n'
        || E'    WHEN OTHERS THEN\n        RETURN NULL;\nEND;\n$body$';
    RETURN NEXT format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', made);
END;
$$;

-- See cutover_statements. Whoever was granted something on the view has it on the table then.
CREATE FUNCTION "{schema}".cutover_switch_back_statements(cutover "{schema}".cutovers) RETURNS SETOF TEXT
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    shown CONSTANT TEXT := format('%I.%I', cutover.old_schema, cutover.old_name);
    away TEXT := "{schema}".cutover_name(cutover.old_name, '_view'::text);
    view_oid OID;
BEGIN
    SELECT c.oid INTO view_oid
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = cutover.old_schema
        AND c.relname = cutover.old_name;
    -- the name of a moment is to be nobody's
    FOR i IN 2 .. 1000 LOOP
        EXIT WHEN to_regclass(format('%I.%I', cutover.old_schema, away)) IS NULL
            AND to_regtype(format('%I.%I', cutover.old_schema, away)) IS NULL;
        away := "{schema}".cutover_name(cutover.old_name, format('_view%s', i));
    END LOOP;
    RETURN NEXT 'SET LOCAL search_path = pg_catalog, pg_temp';
    -- in the order in which a writer takes them
    RETURN NEXT format('ALTER VIEW %s RENAME TO %I', shown, away);
    RETURN NEXT format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', cutover.old_table);
    RETURN NEXT format('ALTER TABLE %s RENAME TO %I', cutover.old_table, cutover.old_name);
    RETURN QUERY SELECT * FROM "{schema}".cutover_grants(view_oid, shown);
    RETURN QUERY
    SELECT d.statement FROM "{schema}".cutover_dependents(view_oid) d
    WHERE d.statement IS NOT NULL;
    RETURN NEXT format('DROP VIEW %I.%I', cutover.old_schema, away);
    RETURN QUERY
    SELECT format('DROP FUNCTION %s', p.oid::regprocedure)
    FROM pg_proc p
    WHERE p.pronamespace = '"{schema}"'::regnamespace
        AND p.proname = 'cutover_view_json';
    IF cutover.forms -> 'is_granted' = 'true' THEN
        RETURN QUERY
        SELECT format('REVOKE SELECT ON "{schema}".posting_state_projection FROM %s', c.relowner::regrole)
        FROM pg_class c
        WHERE c.oid = cutover.old_table;
        RETURN NEXT 'UPDATE "{schema}".cutovers SET forms = forms - ''is_granted'' WHERE id = 1';
    END IF;
    RETURN QUERY SELECT * FROM "{schema}".cutover_base_view_statements(cutover, cutover.old_name);
END;
$$;

REVOKE ALL ON FUNCTION
    "{schema}".cutover_switch_statements("{schema}".cutovers),
    "{schema}".cutover_view_json_statements(TEXT),
    "{schema}".cutover_switch_back_statements("{schema}".cutovers)
FROM PUBLIC;
