-- The table that a mapping means: that of the cutover if it means the same name, whatever the table itself
-- is called by now; null if there is none.
CREATE FUNCTION "{schema}".cutover_table(mapping JSONB) RETURNS REGCLASS
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kept REGCLASS;
    found REGCLASS;
BEGIN
    SELECT c.old_table INTO kept
    FROM "{schema}".cutovers c
    WHERE c.old_schema = cutover_table.mapping ->> 'schema'
        AND c.old_name = cutover_table.mapping ->> 'table'
        AND c.old_table IS NOT NULL;
    SELECT c.oid INTO found
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE CASE
        WHEN kept IS NOT NULL THEN c.oid = kept
        ELSE n.nspname = cutover_table.mapping ->> 'schema' AND c.relname = cutover_table.mapping ->> 'table'
    END;
    RETURN found;
END;
$$;

-- A digest of the names and types of its columns, in their order: another one says that the table is not the
-- one any more for which the cutover was created. Null if there is no such table.
CREATE FUNCTION "{schema}".cutover_columns(mapping JSONB) RETURNS TEXT
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT encode(sha256(convert_to(string_agg(
        format('%s %I %s', a.attnum, a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum
    ), 'UTF8')), 'hex')
    FROM pg_attribute a
    WHERE a.attrelid = "{schema}".cutover_table(mapping)
        AND a.attnum > 0
        AND NOT a.attisdropped
$$;

REVOKE ALL ON FUNCTION "{schema}".cutover_table(JSONB), "{schema}".cutover_columns(JSONB) FROM PUBLIC;
