-- The view of the old table by the name that it gets with the switch, for those who use it before.
CREATE FUNCTION "{schema}".cutover_base_view_statements(cutover "{schema}".cutovers, old_name TEXT) RETURNS SETOF TEXT
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- as it is called when these are executed
    old_table CONSTANT TEXT := format('%I.%I', cutover.old_schema, old_name);
    base CONSTANT TEXT := format('%I.%I', cutover.old_schema, "{schema}".cutover_name(cutover.old_name, '_base'::text));
BEGIN
    RETURN NEXT format('CREATE VIEW %s AS TABLE %s', base, old_table);
    RETURN QUERY SELECT * FROM "{schema}".cutover_owner_statements(cutover, base);
    RETURN QUERY SELECT * FROM "{schema}".cutover_grants(cutover.old_table::oid, base);
END;
$$;

-- A view is its owner's whose table it shows, if that one may have something in the schema, and else may do
-- with it what it may do with the table.
CREATE FUNCTION "{schema}".cutover_owner_statements(cutover "{schema}".cutovers, made TEXT) RETURNS SETOF TEXT
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN has_schema_privilege(r.oid, c.relnamespace, 'CREATE')
            OR (SELECT u.rolsuper FROM pg_roles u WHERE u.rolname = current_user)
        THEN format('ALTER VIEW %s OWNER TO %I', made, r.rolname)
        ELSE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %I WITH GRANT OPTION', made, r.rolname)
    END
    FROM pg_class c
    JOIN pg_roles r ON r.oid = c.relowner
    WHERE c.oid = cutover.old_table
        AND r.rolname <> current_user
$$;

-- See cutover_statements.
CREATE FUNCTION "{schema}".cutover_dual_write_statements(cutover "{schema}".cutovers, makes BOOLEAN) RETURNS SETOF TEXT
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    mode CONSTANT TEXT := CASE WHEN makes THEN 'SHARE ROW EXCLUSIVE' ELSE 'ACCESS EXCLUSIVE' END;
BEGIN
    RETURN NEXT 'SET LOCAL search_path = pg_catalog, pg_temp';
    RETURN NEXT format('LOCK TABLE %s IN %s MODE', cutover.old_table, mode);
    RETURN NEXT format('LOCK TABLE "{schema}"."{events}" IN %s MODE', mode);
    IF NOT makes THEN
        RETURN NEXT format(
            'DROP VIEW IF EXISTS %I.%I', cutover.old_schema, "{schema}".cutover_name(cutover.old_name, '_base'::text)
        );
    END IF;
    RETURN QUERY
    SELECT t.statement
    FROM "{schema}".cutover_trigger_statements(cutover.old_table, cutover.mapping ->> 'posting_id', makes) t;
    IF makes THEN
        RETURN QUERY SELECT * FROM "{schema}".cutover_base_view_statements(cutover, cutover.old_name);
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION
    "{schema}".cutover_base_view_statements("{schema}".cutovers, TEXT),
    "{schema}".cutover_owner_statements("{schema}".cutovers, TEXT),
    "{schema}".cutover_dual_write_statements("{schema}".cutovers, BOOLEAN)
FROM PUBLIC;
