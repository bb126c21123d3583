-- What else in the database is bound to a relation, and goes with it when it gets another name: views and
-- materialized views that read it, functions whose bodies are parsed, policies, rules, and foreign keys that
-- refer to it. What the cutover made is left out.
--
--   statement  makes a view again as it is, over what has the relation's name by then; null of what nobody
--              can, or the current user may not, make again
CREATE FUNCTION "{schema}".cutover_dependents(of_relation OID)
RETURNS TABLE (kind TEXT, name TEXT, statement TEXT)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    cutover "{schema}".cutovers;
BEGIN
    SELECT c.* INTO cutover FROM "{schema}".cutovers c WHERE c.id = 1;
    RETURN QUERY
    SELECT DISTINCT
        CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' ELSE 'rule on' END,
        c.oid::regclass::text,
        CASE WHEN c.relkind = 'v' AND r.rulename = '_RETURN' AND pg_has_role(current_user, c.relowner, 'USAGE')
            -- it groups by the primary key alone, and a view has none
            AND NOT EXISTS (
                SELECT FROM pg_depend k
                WHERE k.classid = 'pg_rewrite'::regclass AND k.objid = r.oid AND k.refclassid = 'pg_constraint'::regclass
            )
        THEN format(
            'CREATE OR REPLACE VIEW %s%s AS %s',
            c.oid::regclass,
            ' WITH (' || array_to_string(c.reloptions, ', ') || ')',
            rtrim(pg_get_viewdef(c.oid), ';')
        ) END
    FROM pg_depend d
    JOIN pg_rewrite r ON r.oid = d.objid
    JOIN pg_class c ON c.oid = r.ev_class
    WHERE d.classid = 'pg_rewrite'::regclass
        AND d.refclassid = 'pg_class'::regclass
        AND d.refobjid = of_relation
        AND c.oid <> of_relation
        AND NOT (c.relnamespace = '"{schema}"'::regnamespace AND c.relname = 'cutover_old_states')
        AND (
            c.relkind = 'v'
            AND c.relnamespace = (SELECT n.oid FROM pg_namespace n WHERE n.nspname = cutover.old_schema)
            AND c.relname IN (cutover.old_name, "{schema}".cutover_name(cutover.old_name, '_base'::text))
        ) IS NOT TRUE
    UNION ALL
    SELECT DISTINCT 'function', p.oid::regprocedure::text, NULL::text
    FROM pg_depend d
    JOIN pg_proc p ON p.oid = d.objid
    WHERE d.classid = 'pg_proc'::regclass
        AND (
            d.refclassid = 'pg_class'::regclass AND d.refobjid = of_relation
            OR d.refclassid = 'pg_type'::regclass AND d.refobjid IN (
                SELECT unnest(ARRAY[t.oid, t.typarray]) FROM pg_type t WHERE t.typrelid = of_relation
            )
        )
    UNION ALL
    SELECT DISTINCT 'policy', format('%I on %s', o.polname, o.polrelid::regclass), NULL::text
    FROM pg_depend d
    JOIN pg_policy o ON o.oid = d.objid
    WHERE d.classid = 'pg_policy'::regclass
        AND d.refclassid = 'pg_class'::regclass
        AND d.refobjid = of_relation
        AND o.polrelid <> of_relation
    UNION ALL
    SELECT 'foreign key', format('%I on %s', k.conname, k.conrelid::regclass), NULL::text
    FROM pg_constraint k
    WHERE k.contype = 'f'
        AND k.confrelid = of_relation
        AND k.conrelid <> of_relation;
END;
$$;

-- The statements that let those who may do something with one relation do the same with another.
CREATE FUNCTION "{schema}".cutover_grants(of_relation OID, to_name TEXT) RETURNS SETOF TEXT
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format(
        'GRANT %s%s ON %s TO %s%s',
        a.privilege_type,
        ' (' || quote_ident(a.attname) || ')',
        to_name,
        CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
        CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
    )
    FROM (
        SELECT NULL::name AS attname, g.grantee, g.privilege_type, g.is_grantable, c.relowner
        FROM pg_class c, aclexplode(c.relacl) g
        WHERE c.oid = of_relation
        UNION ALL
        SELECT t.attname, g.grantee, g.privilege_type, g.is_grantable, c.relowner
        FROM pg_class c
        JOIN pg_attribute t ON t.attrelid = c.oid AND NOT t.attisdropped, aclexplode(t.attacl) g
        WHERE c.oid = of_relation
    ) a
    WHERE a.grantee <> a.relowner
        -- the table's owner needs none on it
        AND NOT EXISTS (
            SELECT FROM "{schema}".cutovers u JOIN pg_class t ON t.oid = u.old_table AND t.relowner = a.grantee
        )
        AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
    ORDER BY a.attname NULLS FIRST, a.grantee, a.privilege_type
$$;

REVOKE ALL ON FUNCTION "{schema}".cutover_dependents(OID), "{schema}".cutover_grants(OID, TEXT) FROM PUBLIC;
