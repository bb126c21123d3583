-- Roles with no more rights than their work needs. They cannot log in themselves: grant them to
-- roles that do, such as GRANT {roles}_writer TO worker. Run it after each migration, by somebody
-- who may create roles and owns the tables; it can be run again.
--
--   {roles}_owner      owns what the migrations make; whoever runs this becomes a member
--   {roles}_writer     runs workflows: appends events, registers postings
--   {roles}_reader     looks
--   {roles}_projector  looks, rebuilds and repairs what is derived from events
--
-- Roles are of the whole server: a member of these has their rights in every store that grants them
-- any. So they are refused if they have rights somewhere and this store is not theirs.
BEGIN;
-- nothing that somebody has put into another schema is meant by what follows
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL standard_conforming_strings = on;
SET LOCAL lock_timeout = '10s';

DO $$
DECLARE
    events_owner OID;
    schema_owner OID;
    stranger TEXT;
    role_name TEXT;
    elsewhere TEXT;
    -- with a membership that lacks one of these, from version 16 on, tables are not given away
    needed TEXT[] := CASE
        WHEN current_setting('server_version_num')::int < 160000 THEN '{USAGE}'
        ELSE '{USAGE,SET}'
    END;
BEGIN
    SELECT c.relowner, n.nspowner INTO events_owner, schema_owner
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = '"{schema}"."{events}"'::regclass;

    -- what has a name of the store's and somebody else's owner was put there to be taken for it
    SELECT min(o.name || ', which belongs to ' || pg_get_userbyid(o.owner)) INTO stranger
    FROM (
        SELECT p.oid::regprocedure::text AS name, p.proowner AS owner
        FROM pg_proc p
        WHERE p.pronamespace = '"{schema}"'::regnamespace
            AND p.proname = ANY (ARRAY['{functions}'])
        UNION ALL
        SELECT c.oid::regclass::text, c.relowner
        FROM pg_class c
        WHERE c.relnamespace = '"{schema}"'::regnamespace
            AND c.relname = ANY (ARRAY['{tables}'])
    ) o
    WHERE NOT pg_has_role(o.owner, events_owner, 'MEMBER')
        AND NOT pg_has_role(o.owner, schema_owner, 'MEMBER');
    IF stranger IS NOT NULL THEN
        RAISE EXCEPTION 'the schema {schema} has something of a name of the store''s that the owner of the events did not make: %; drop it, and REVOKE CREATE ON SCHEMA "{schema}" FROM PUBLIC', stranger
            USING ERRCODE = 'ES008';
    END IF;

    IF pg_get_userbyid(events_owner) <> '{roles}_owner' THEN
        SELECT min('the database ' || d.datname::text) INTO elsewhere
        FROM pg_shdepend s
        JOIN pg_roles r ON r.oid = s.refobjid
        JOIN pg_database d ON d.oid = s.dbid
        WHERE s.refclassid = 'pg_authid'::regclass
            AND r.rolname IN ('{roles}_owner', '{roles}_writer', '{roles}_reader', '{roles}_projector');
        IF elsewhere IS NOT NULL THEN
            RAISE EXCEPTION 'the roles {roles}_… have rights in % already, and not as those of this store, and their members would have the same here; name those of this store otherwise, by --role-prefix', elsewhere
                USING ERRCODE = 'ES006';
        END IF;
    END IF;

    FOREACH role_name IN ARRAY ARRAY['{roles}_owner', '{roles}_writer', '{roles}_reader', '{roles}_projector'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
        END IF;
    END LOOP;
    -- only a member may give tables away, and only a member can migrate them further
    IF EXISTS (
        SELECT FROM unnest(needed) n (privilege)
        WHERE NOT pg_has_role(current_user, '{roles}_owner', n.privilege)
    ) THEN
        EXECUTE format('GRANT {roles}_owner TO %I', current_user);
    END IF;
END;
$$;

GRANT {roles}_reader TO {roles}_projector, {roles}_writer;

-- Whoever may use a schema can queue for a lock on each of its tables, whatever the rights on those
-- are: the server looks at these when it has the lock. So PUBLIC may not, and up to PostgreSQL 14
-- it could also create things in the schema that is searched first. Who has rights of their own on
-- something in the schema, or owns it, keeps the use of it.
DO $$
DECLARE
    schema_is CONSTANT OID := '"{schema}"'::regnamespace;
    user_name TEXT;
BEGIN
    IF EXISTS (
        SELECT
        FROM pg_namespace n, aclexplode(n.nspacl) a
        WHERE n.oid = schema_is
            AND a.grantee = 0
            AND a.privilege_type = 'USAGE'
    ) THEN
        FOR user_name IN
            SELECT DISTINCT r.rolname
            FROM (
                SELECT c.relowner FROM pg_class c WHERE c.relnamespace = schema_is
                UNION ALL
                SELECT a.grantee
                FROM pg_class c, aclexplode(c.relacl) a
                WHERE c.relnamespace = schema_is
                UNION ALL
                SELECT a.grantee
                FROM pg_class c
                JOIN pg_attribute t ON t.attrelid = c.oid, aclexplode(t.attacl) a
                WHERE c.relnamespace = schema_is
                UNION ALL
                SELECT p.proowner FROM pg_proc p WHERE p.pronamespace = schema_is
                UNION ALL
                SELECT a.grantee
                FROM pg_proc p, aclexplode(p.proacl) a
                WHERE p.pronamespace = schema_is
                UNION ALL
                SELECT a.grantee
                FROM pg_type t, aclexplode(t.typacl) a
                WHERE t.typnamespace = schema_is
            ) u (oid)
            JOIN pg_roles r ON r.oid = u.oid
            WHERE NOT r.rolsuper
        LOOP
            EXECUTE format('GRANT USAGE ON SCHEMA "{schema}" TO %I', user_name);
        END LOOP;
    END IF;
    -- the server looks for registered postings with the rights of that table's owner
    SELECT pg_get_userbyid(c.relowner) INTO user_name
    FROM pg_class c
    WHERE c.oid = '"{schema}".postings'::regclass;
    EXECUTE format('GRANT USAGE ON SCHEMA "{schema}" TO %I', user_name);
END;
$$;
REVOKE USAGE, CREATE ON SCHEMA "{schema}" FROM PUBLIC;
GRANT USAGE ON SCHEMA "{schema}" TO {roles}_reader;
GRANT USAGE, CREATE ON SCHEMA "{schema}" TO {roles}_owner;

GRANT SELECT ON
    "{schema}"."{events}",
    "{schema}"."{events}_migrations",
    "{schema}"."{events}_snapshots",
    "{schema}"."{events}_watermark",
    "{schema}"."{events}_projection_models",
    "{schema}"."{events}_projection_slices",
    "{schema}"."{events}_projection_rows",
    "{schema}"."{events}_projection_parked",
    "{schema}"."{events}_projection_active",
    "{schema}".turing_migrations,
    "{schema}".postings,
    "{schema}".assigned_postings,
    "{schema}".posting_state_projection,
    "{schema}".posting_state_snapshots,
    "{schema}".cutovers,
    "{schema}".cutover_discrepancies,
    "{schema}".cutover_open_discrepancies,
    "{schema}".cutover_past_discrepancies
TO {roles}_reader;

-- no position: it is the database's to give
GRANT INSERT (
    event_id,
    aggregate_type,
    aggregate_id,
    aggregate_version,
    event_type,
    event_data,
    metadata,
    created_at,
    idempotency_key,
    append_size,
    append_id,
    append_part
) ON "{schema}"."{events}" TO {roles}_writer;
GRANT INSERT, UPDATE, DELETE ON "{schema}"."{events}_snapshots" TO {roles}_writer;
-- what was granted before there was a function that raises it
REVOKE INSERT, UPDATE, DELETE ON "{schema}"."{events}_watermark" FROM {roles}_writer, {roles}_projector;
-- SHARE ROW EXCLUSIVE locks, by which programs that register postings wait for one another, need
-- more than INSERT
GRANT INSERT, UPDATE ON "{schema}".assigned_postings TO {roles}_writer;
GRANT INSERT ON "{schema}".postings TO {roles}_writer;

-- The trigger that keeps the projection has its owner's rights, and so have the functions that repair
-- it. Nobody else writes it: the next append folds on from what stands there.
REVOKE INSERT, UPDATE, DELETE ON "{schema}".posting_state_projection FROM {roles}_projector;
GRANT INSERT, UPDATE, DELETE ON "{schema}".posting_state_snapshots TO {roles}_projector, {roles}_writer;
GRANT INSERT, UPDATE, DELETE ON
    "{schema}"."{events}_projection_models",
    "{schema}"."{events}_projection_slices",
    "{schema}"."{events}_projection_rows",
    "{schema}"."{events}_projection_parked"
TO {roles}_projector;

-- The table of postings stays its owner's: it may be the application's own. How far positions are
-- drawn is the readers' to see, so that they need not count what an open transaction has inserted.
DO $$
BEGIN
    EXECUTE format(
        'GRANT SELECT ON SEQUENCE %s TO {roles}_reader',
        pg_get_serial_sequence('"{schema}"."{events}"', 'position')
    );
    -- and the import of an older system's states registers what is not there
    EXECUTE format('GRANT SELECT, INSERT, REFERENCES ON %I.postings TO {roles}_owner', '{schema}');
END;
$$;

DO $$
DECLARE
    made TEXT;
BEGIN
    FOREACH made IN ARRAY ARRAY['{tables}'] LOOP
        EXECUTE format('ALTER TABLE %I.%I OWNER TO {roles}_owner', '{schema}', made);
    END LOOP;
END;
$$;

-- While an older system's table is moved over, what its triggers and dual_write do has the rights of the
-- events' owner. The table stays its owner's. Commands of the cutover need a member of both.
DO $$
DECLARE
    moved RECORD;
BEGIN
    IF to_regclass('"{schema}".cutover_old_states') IS NOT NULL THEN
        ALTER VIEW "{schema}".cutover_old_states OWNER TO {roles}_owner;
        GRANT SELECT ON "{schema}".cutover_old_states TO {roles}_reader;
    END IF;
    SELECT c.oid::regclass AS name, c.relnamespace::regnamespace AS of_schema INTO moved
    FROM "{schema}".cutovers u
    JOIN pg_class c ON c.oid = u.old_table;
    IF FOUND AND NOT (
        has_schema_privilege('{roles}_owner', moved.of_schema, 'USAGE')
        AND has_table_privilege('{roles}_owner', moved.name, 'SELECT')
        AND has_table_privilege('{roles}_owner', moved.name, 'INSERT')
        AND has_table_privilege('{roles}_owner', moved.name, 'UPDATE')
        AND has_table_privilege('{roles}_owner', moved.name, 'DELETE')
    ) THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %s TO {roles}_owner', moved.of_schema);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO {roles}_owner', moved.name);
    END IF;
END;
$$;

-- The functions that the migrations made; that nobody else has made one of these names was looked at
-- above. Those that cannot write are the readers'; what can write
-- is granted by name. Trigger functions are nobody's: they fire without, and whoever had the right
-- could make them the trigger of another table.
DO $$
DECLARE
    made RECORD;
    role_name TEXT;
BEGIN
    FOR made IN
        SELECT
            p.oid::regprocedure AS name,
            CASE
                WHEN p.prorettype = 'trigger'::regtype THEN '{}'
                WHEN p.provolatile <> 'v' THEN '{reader}'
                ELSE g.roles
            END::text[] AS roles
        FROM pg_proc p
        LEFT JOIN (VALUES
            ('{events}_frontier', '{reader}'),
            ('{events}_look', '{reader}'),
            ('{events}_next_look', '{reader}'),
            ('{events}_is_there', '{reader}'),
            ('{events}_drawn', '{reader}'),
            ('{events}_holders', '{reader}'),
            ('{events}_visible', '{reader}'),
            ('{events}_projection_now', '{reader}'),
            ('{events}_append', '{writer}'),
            ('{events}_append_within', '{writer}'),
            ('append_event', '{writer}'),
            ('dual_write', '{writer}'),
            ('{events}_raise_watermark', '{writer,projector}'),
            ('maybe_create_snapshot', '{writer,projector}'),
            ('fold_posting_states', '{projector}'),
            ('rebuild_posting_state', '{projector}'),
            ('rebuild_all_posting_states', '{projector}'),
            ('{events}_projection_abandon', '{projector}'),
            ('{events}_projection_acquire', '{projector}'),
            ('{events}_projection_commit', '{projector}'),
            ('{events}_projection_remove', '{projector}'),
            ('{events}_projection_switch', '{projector}')
        ) g (name, roles) ON g.name = p.proname
        WHERE p.pronamespace = '"{schema}"'::regnamespace
            AND p.proname = ANY (ARRAY['{functions}'])
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO {roles}_owner', made.name);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', made.name);
        FOREACH role_name IN ARRAY coalesce(made.roles, '{}') LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', made.name, '{roles}_' || role_name);
        END LOOP;
    END LOOP;
END;
$$;

COMMIT;
