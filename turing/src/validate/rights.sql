-- $1 schema, $2 table of events, $3 the store's tables and views, $4 its functions
--
-- As validate_event_store answers: rights on the store's objects that are neither their owner's nor those
-- of the roles that `turing migrate --roles` makes, and objects of its names that are somebody else's.
-- Without these roles only what PUBLIC has is told, and not that it has the use of the schema.
WITH store AS (
    SELECT n.oid AS schema_oid, n.nspname, n.nspowner, n.nspacl, c.relowner, o.rolname AS owner_name
    FROM pg_catalog.pg_namespace n
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid
    JOIN pg_catalog.pg_roles o ON o.oid = c.relowner
    WHERE n.nspname = $1
        AND c.relname = $2
),
roles AS (
    SELECT r.oid
    FROM store s
    JOIN pg_catalog.pg_roles r ON r.rolname = ANY (ARRAY[
        s.owner_name,
        regexp_replace(s.owner_name, '_owner$', '_writer'),
        regexp_replace(s.owner_name, '_owner$', '_reader'),
        regexp_replace(s.owner_name, '_owner$', '_projector')
    ])
    WHERE s.owner_name LIKE '%!_owner' ESCAPE '!'
),
has_roles AS (
    SELECT count(*) = 4 AS yes FROM roles
),
relations AS (
    SELECT
        c.oid,
        c.relowner,
        pg_has_role(c.relowner, s.relowner, 'MEMBER') OR pg_has_role(c.relowner, s.nspowner, 'MEMBER') AS is_own,
        CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS class,
        format('%I.%I', s.nspname, c.relname) AS name,
        coalesce(
            c.relacl,
            acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner)
        ) AS acl
    FROM store s
    JOIN pg_catalog.pg_class c ON c.relnamespace = s.schema_oid
    WHERE c.relname = ANY ($3)
        OR c.relkind = 'S' AND c.relname = $2 || '_position_seq'
),
functions AS (
    SELECT
        p.proowner,
        pg_has_role(p.proowner, s.relowner, 'MEMBER') OR pg_has_role(p.proowner, s.nspowner, 'MEMBER') AS is_own,
        CASE count(*) OVER (PARTITION BY p.proname)
            WHEN 1 THEN format('%I.%I', s.nspname, p.proname)
            ELSE format('%I.%I(%s)', s.nspname, p.proname, pg_get_function_identity_arguments(p.oid))
        END AS name,
        coalesce(p.proacl, acldefault('f', p.proowner)) AS acl
    FROM store s
    JOIN pg_catalog.pg_proc p ON p.pronamespace = s.schema_oid
    WHERE p.proname = ANY ($4)
),
rights AS (
    SELECT r.class, r.name, r.relowner AS owner, a.grantee, a.privilege_type
    FROM relations r, aclexplode(r.acl) a
    UNION ALL
    SELECT r.class, r.name, r.relowner, a.grantee, a.privilege_type
    FROM relations r
    JOIN pg_catalog.pg_attribute t ON t.attrelid = r.oid, aclexplode(t.attacl) a
    UNION ALL
    SELECT 'FUNCTION', f.name, f.proowner, a.grantee, a.privilege_type
    FROM functions f, aclexplode(f.acl) a
    WHERE f.is_own
    UNION ALL
    SELECT 'SCHEMA', format('%I', s.nspname), s.nspowner, a.grantee, a.privilege_type
    FROM store s, aclexplode(coalesce(s.nspacl, acldefault('n', s.nspowner))) a
    WHERE a.privilege_type = 'CREATE'
        OR a.grantee = 0 AND (SELECT h.yes FROM has_roles h)
),
of_others AS (
    SELECT
        r.class,
        r.name,
        CASE r.grantee WHEN 0 THEN 'PUBLIC' ELSE format('%I', g.rolname) END AS grantee,
        string_agg(DISTINCT r.privilege_type, ', ' ORDER BY r.privilege_type) AS privileges
    FROM rights r
    LEFT JOIN pg_catalog.pg_roles g ON g.oid = r.grantee
    WHERE r.grantee <> r.owner
        AND r.grantee NOT IN (SELECT k.oid FROM roles k)
        AND NOT coalesce(g.rolsuper, FALSE)
        AND (r.grantee = 0 OR (SELECT h.yes FROM has_roles h))
    GROUP BY r.class, r.name, r.grantee, g.rolname
),
numbered AS (
    SELECT o.*, (row_number() OVER (PARTITION BY o.class, o.grantee, o.privileges ORDER BY o.name) - 1) / 12 AS page
    FROM of_others o
),
foreign_objects AS (
    SELECT r.class, r.name, r.relowner AS owner, NULL AS repair
    FROM relations r
    WHERE NOT r.is_own
    UNION ALL
    SELECT 'FUNCTION', f.name, f.proowner, format('DROP FUNCTION %s', f.name)
    FROM functions f
    WHERE NOT f.is_own
)
SELECT
    'rights_of_others' AS kind,
    'warning' AS severity,
    NULL::text AS aggregate_type,
    NULL::int AS aggregate_id,
    format('%s has %s on %s', n.grantee, n.privileges, string_agg(n.name, ', ' ORDER BY n.name)) AS detail,
    format(
        'REVOKE ALL ON %s %s FROM %s',
        n.class,
        string_agg(n.name, ', ' ORDER BY n.name),
        n.grantee
    ) AS repair
FROM numbered n
GROUP BY n.class, n.grantee, n.privileges, n.page
UNION ALL
SELECT
    'object_of_another_owner',
    'error',
    NULL,
    NULL,
    format('%s has a name of the store''s and belongs to %s, who does not own the events', f.name, o.rolname),
    f.repair
FROM foreign_objects f
JOIN pg_catalog.pg_roles o ON o.oid = f.owner
ORDER BY 1, 5
