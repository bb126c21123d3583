-- The grant that makes this login a member of the role that owns the old table.
SELECT pg_catalog.format('GRANT %I TO %I', r.rolname, SESSION_USER)
FROM "{schema}".cutovers c
JOIN pg_catalog.pg_class t ON t.oid = c.old_table::oid
JOIN pg_catalog.pg_roles r ON r.oid = t.relowner
WHERE NOT pg_catalog.pg_has_role(SESSION_USER, r.oid, 'MEMBER')
