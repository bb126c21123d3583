-- $1 a table of models, $2 its view, $3 the projection
--
-- What is there of them, and whom it belongs to if that is neither the user, nor somebody who has the
-- rights of the events' owner or of the schema's: triggers of theirs would run with the user's rights.
SELECT
    ARRAY(
        SELECT a.attname::text
        FROM pg_attribute a
        WHERE a.attrelid = named.models
            AND a.attnum > 0
            AND NOT a.attisdropped
        ORDER BY a.attnum
    ) AS columns,
    ARRAY(
        SELECT format_type(a.atttypid, a.atttypmod)
        FROM pg_attribute a
        WHERE a.attrelid = named.models
            AND a.attnum > 0
            AND NOT a.attisdropped
        ORDER BY a.attnum
    ) AS types,
    ARRAY(
        SELECT a.attname::text
        FROM pg_index i
        CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY k (number, place)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
        WHERE i.indrelid = named.models
            AND i.indisprimary
        ORDER BY k.place
    ) AS key,
    ARRAY(
        SELECT c.relname::text
        FROM pg_index i
        JOIN pg_class c ON c.oid = i.indexrelid
        WHERE i.indrelid = named.models
    ) AS indexes,
    named.view IS NOT NULL AS has_view,
    ARRAY(
        SELECT a.attname::text
        FROM pg_attribute a
        WHERE a.attrelid = named.view
            AND a.attnum > 0
            AND NOT a.attisdropped
        ORDER BY a.attnum
    ) AS view_columns,
    coalesce(
        (SELECT c.reloptions FROM pg_class c WHERE c.oid = named.view),
        ARRAY[]::text[]
    ) AS view_options,
    EXISTS (
        SELECT
        FROM pg_class c
        JOIN pg_rewrite r ON r.ev_class = c.oid
        JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
        WHERE c.oid = named.view
            AND c.relkind = 'v'
            AND d.refclassid = 'pg_class'::regclass
            AND d.refobjid = named.models
    ) AS is_view_of_models,
    coalesce(
        strpos(
            pg_get_viewdef(named.view),
            'projection = ''' || replace($3, '''', '''''') || '''::text'
        ) > 0,
        FALSE
    ) AS serves_projection,
    (
        SELECT min(m.projection)
        FROM "{schema}"."{events}_projection_models" m
        WHERE m.projection <> $3
            AND m.slot = 'active'
            AND strpos(
                pg_get_viewdef(named.view),
                'projection = ''' || replace(m.projection, '''', '''''') || '''::text'
            ) > 0
    ) AS serves_another,
    coalesce(
        has_table_privilege(named.models, 'SELECT')
        AND has_table_privilege(named.models, 'INSERT')
        AND has_table_privilege(named.models, 'UPDATE')
        AND has_table_privilege(named.models, 'DELETE'),
        TRUE
    ) AS may_be_written,
    (
        SELECT min(pg_get_userbyid(c.relowner)::text)
        FROM pg_class c
        WHERE c.oid IN (named.models, named.view)
            AND c.relowner <> (SELECT r.oid FROM pg_roles r WHERE r.rolname = current_user)
            AND NOT pg_has_role(c.relowner, named.schema_owner, 'MEMBER')
            AND NOT pg_has_role(c.relowner, named.events_owner, 'MEMBER')
    ) AS stranger
FROM (
    SELECT
        n.nspowner AS schema_owner,
        e.relowner AS events_owner,
        m.oid AS models,
        v.oid AS view
    FROM pg_namespace n
    JOIN pg_class e ON e.relnamespace = n.oid AND e.relname = '{events}'
    LEFT JOIN pg_class m ON m.relnamespace = n.oid AND m.relname = $1
    LEFT JOIN pg_class v ON v.relnamespace = n.oid AND v.relname = $2
    WHERE n.nspname = '{schema}'
) named
