-- As before, and a trigger of the old table that can wait for the end of the transaction is in the way. The
-- cutover writes the old table in functions that have the rights of the store's owner and a search path of their
-- own; such a trigger runs when they are over: with the search path of whoever appends an event, and, as the
-- version of the server is, with the rights of that one or with those of the store's owner.
CREATE OR REPLACE FUNCTION "{schema}".cutover_check_mapping(mapping JSONB)
RETURNS TABLE (key TEXT, problem TEXT, cure TEXT)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    of_table CONSTANT OID := "{schema}".cutover_table(mapping);
    old RECORD;
    part RECORD;
    one RECORD;
    store_owner OID;
    named TEXT;
    columns TEXT[];
BEGIN
    IF of_table IS NULL THEN
        SELECT "{schema}".cutover_nearest(mapping ->> 'table', array_agg(c.relname::text)) INTO named
        FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = mapping ->> 'schema'
            AND c.relkind IN ('r', 'p', 'v', 'm', 'f');
        RETURN QUERY SELECT
            'table',
            format('there is no table %I.%I', mapping ->> 'schema', mapping ->> 'table'),
            CASE
                WHEN named IS NOT NULL THEN format('did you mean %I?', named)
                WHEN NOT EXISTS (SELECT FROM pg_namespace n WHERE n.nspname = mapping ->> 'schema')
                    THEN 'there is no such schema either: name the one of the table'
                ELSE 'name it as the catalogue does, in its case'
            END;
        RETURN;
    END IF;
    SELECT c.*, n.nspname, format('%I.%I', n.nspname, c.relname) AS name INTO old
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = of_table;
    SELECT c.relowner INTO store_owner FROM pg_class c WHERE c.oid = '"{schema}"."{events}"'::regclass;

    RETURN QUERY
    SELECT 'table', w.problem, w.cure
    FROM (VALUES
        (
            old.relkind <> 'r',
            format('%s is %s, and no ordinary table', old.name, CASE old.relkind
                WHEN 'v' THEN 'a view' WHEN 'm' THEN 'a materialized view' WHEN 'p' THEN 'a partitioned table'
                WHEN 'f' THEN 'a foreign table' ELSE 'something else' END),
            'name the table that holds the rows; partitions are put into one table before'
        ),
        (
            old.relispartition OR EXISTS (SELECT FROM pg_inherits i WHERE of_table IN (i.inhrelid, i.inhparent)),
            format('%s is a part of other tables, or has parts: triggers and reads would not be of the same rows', old.name),
            format('ALTER TABLE … NO INHERIT or DETACH PARTITION, so that %s stands alone', old.name)
        ),
        (old.relpersistence = 't', format('%s is a temporary table', old.name), 'name a permanent one'),
        (
            old.relnamespace = '"{schema}"'::regnamespace AND (
                old.relname IN (
                    '{events}', 'postings', 'assigned_postings', 'posting_state_rows', 'posting_state_completions',
                    'posting_state_values', 'posting_state_snapshots', 'turing_migrations', 'cutovers',
                    'cutover_discrepancies', 'cutover_past_discrepancies'
                ) OR left(old.relname, length('{events}_')) = '{events}_'
            ),
            format('%s is a table of the store itself', old.name),
            'keep the states of the older system in a table of their own'
        ),
        (
            old.relrowsecurity,
            format('row security is on for %s: triggers and views would not see every row', old.name),
            format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', old.name)
        ),
        (
            EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = of_table AND r.ev_type <> '1'),
            format('%s has rules, which would do something else in place of a write', old.name),
            format('DROP RULE … ON %s, and have a trigger do it', old.name)
        ),
        (
            NOT pg_has_role(current_user, old.relowner, 'USAGE'),
            format('%s belongs to %s, and %s is no member of it', old.name, old.relowner::regrole, quote_ident(current_user)),
            format('GRANT %s TO %I', old.relowner::regrole, current_user)
        ),
        (
            NOT pg_has_role(current_user, store_owner, 'USAGE'),
            format('the events belong to %s, and %s is no member of it', store_owner::regrole, quote_ident(current_user)),
            format('GRANT %s TO %I', store_owner::regrole, current_user)
        ),
        (
            NOT has_schema_privilege(old.relnamespace, 'CREATE'),
            format('%s may not make the view that takes the place of %s', quote_ident(current_user), old.name),
            format('GRANT CREATE ON SCHEMA %I TO %I', old.nspname, current_user)
        ),
        (
            NOT has_schema_privilege(store_owner, old.relnamespace, 'USAGE'),
            format('%s, who owns the events, may not use the schema %I', store_owner::regrole, old.nspname),
            format('GRANT USAGE ON SCHEMA %I TO %s', old.nspname, store_owner::regrole)
        ),
        (
            NOT (
                has_table_privilege(store_owner, of_table, 'SELECT') AND has_table_privilege(store_owner, of_table, 'INSERT')
                AND has_table_privilege(store_owner, of_table, 'UPDATE') AND has_table_privilege(store_owner, of_table, 'DELETE')
            ),
            format('%s, who owns the events, may not read and write %s, as the triggers do', store_owner::regrole, old.name),
            format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %s', old.name, store_owner::regrole)
        )
    ) w (is_wrong, problem, cure)
    WHERE w.is_wrong;

    RETURN QUERY
    SELECT
        'table',
        format('trigger %I of %s can wait for the end of the transaction, where it has other rights and another search_path', t.tgname, old.name),
        format(
            'DROP TRIGGER %I ON %s, and CREATE TRIGGER %I AFTER … ON %s FOR EACH ROW EXECUTE FUNCTION %s',
            t.tgname, old.name, t.tgname, old.name, t.tgfoid::regprocedure
        )
    FROM pg_trigger t
    WHERE t.tgrelid = of_table
        AND t.tgdeferrable
        AND NOT t.tgisinternal
    ORDER BY t.tgname;

    -- the names that it gets later
    RETURN QUERY
    SELECT
        'table',
        format('%I.%I is there, and the old table gets that name later', old.nspname, later.name),
        'rename it'
    FROM unnest(ARRAY['_base', '_deprecated']) e (ending)
    CROSS JOIN LATERAL "{schema}".cutover_name(mapping ->> 'table', e.ending) later (name)
    WHERE NOT EXISTS (SELECT FROM "{schema}".cutovers c WHERE c.old_table = of_table AND c.phase >= 2)
        AND EXISTS (
            SELECT FROM pg_class c
            WHERE c.relnamespace = old.relnamespace AND c.relname = later.name AND c.oid <> of_table
        );

    columns := ARRAY(
        SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = of_table AND a.attnum > 0 AND NOT a.attisdropped
    );
    FOR part IN
        SELECT p.*, mapping ->> p.key AS name
        FROM (VALUES
            ('posting_id', '{int2,int4,int8}', 'smallint, integer or bigint'),
            ('current', '{int2,int4,int8,text,varchar,bpchar}', 'an integer or a text'),
            ('outputs', '{jsonb,json,text,varchar}', 'jsonb, json or text'),
            ('history', '{_int2,_int4,_int8,_text,_varchar,jsonb,json,text,varchar}', 'an array of integers or texts, jsonb, json or text'),
            ('terminal', '{bool}', 'boolean'),
            ('updated_at', '{timestamptz,timestamp}', 'timestamp, with or without time zone'),
            ('counter', '{int2,int4,int8}', 'an integer')
        ) p (key, types, fitting)
    LOOP
        IF part.name IS NULL THEN
            IF part.key = 'posting_id' THEN
                RETURN QUERY SELECT part.key, 'no column is named for the id of the posting', 'name it';
            END IF;
            CONTINUE;
        END IF;
        SELECT a.*, t.typname, format_type(a.atttypid, a.atttypmod) AS type, d.typnotnull INTO one
        FROM pg_attribute a
        JOIN pg_type t ON t.oid = "{schema}".cutover_base_type(a.atttypid)
        JOIN pg_type d ON d.oid = a.atttypid
        WHERE a.attrelid = of_table
            AND a.attname = part.name
            AND a.attnum > 0
            AND NOT a.attisdropped;
        IF NOT FOUND THEN
            RETURN QUERY SELECT
                part.key,
                format('%s has no column %I', old.name, part.name),
                coalesce(
                    'did you mean ' || quote_ident("{schema}".cutover_nearest(part.name, columns)) || '?',
                    format('it has %s', (SELECT string_agg(quote_ident(c.name), ', ') FROM unnest(columns) c (name)))
                );
            CONTINUE;
        END IF;
        RETURN QUERY
        SELECT part.key, w.problem, w.cure
        FROM (VALUES
            (
                one.typname <> ALL (part.types::text[]),
                format('the column %I is of the type %s, and not %s', part.name, one.type, part.fitting),
                format('map a column of a fitting type, such as a generated one: ALTER TABLE %s ADD COLUMN … GENERATED ALWAYS AS (…) STORED', old.name)
            ),
            (
                one.attgenerated <> '' AND part.key NOT IN ('counter', 'updated_at'),
                format('the column %I is generated, so no state of the events can be written into it', part.name),
                'map the columns that it is generated from, or leave it out'
            ),
            (
                EXISTS (
                    SELECT FROM jsonb_each_text(mapping) o
                    WHERE o.key IN ('posting_id', 'current', 'outputs', 'history', 'terminal', 'updated_at', 'counter')
                        AND o.key < part.key
                        AND o.value = part.name
                ),
                format('the column %I is mapped twice', part.name),
                'map each column once'
            ),
            (
                part.key = 'posting_id' AND NOT (one.attnotnull OR one.typnotnull),
                format('the column %I may be null', part.name),
                format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL', old.name, part.name)
            ),
            (
                part.key = 'posting_id' AND NOT EXISTS (
                    SELECT
                    FROM pg_index i
                    WHERE i.indrelid = of_table
                        AND i.indisunique
                        AND i.indimmediate
                        AND i.indisvalid
                        AND i.indpred IS NULL
                        AND i.indnkeyatts = 1
                        AND i.indkey[0] = one.attnum
                ),
                format('the column %I is not unique, so a posting could have several states', part.name),
                format('CREATE UNIQUE INDEX CONCURRENTLY ON %s (%I)', old.name, part.name)
            )
        ) w (is_wrong, problem, cure)
        WHERE w.is_wrong;
    END LOOP;

    RETURN QUERY
    SELECT w.key, w.problem, w.cure
    FROM (VALUES
        (
            coalesce(mapping ->> 'current', mapping ->> 'outputs', mapping ->> 'history', mapping ->> 'terminal') IS NULL,
            'table', 'no column of it is mapped to a part of a posting''s state',
            'map at least one of current, outputs, history and terminal'
        ),
        (
            mapping ->> 'history_key' IS NOT NULL AND (mapping ->> 'history' IS NULL OR EXISTS (
                SELECT
                FROM pg_attribute a
                JOIN pg_type t ON t.oid = "{schema}".cutover_base_type(a.atttypid) AND t.typcategory = 'A'
                WHERE a.attrelid = of_table AND a.attname = mapping ->> 'history'
            )),
            'history_key', 'it is the key of objects, and the history has none',
            'leave it out, or map the column that has a JSON array of objects to history'
        ),
        (
            jsonb_typeof(mapping -> 'steps') NOT IN ('object', 'null'),
            'steps', 'it is no object of names and numbers', 'write a name = the number of its conversation'
        )
    ) w (is_wrong, key, problem, cure)
    WHERE w.is_wrong;
    IF jsonb_typeof(mapping -> 'steps') = 'object' THEN
        RETURN QUERY
        SELECT 'steps', format('the step %I is no number of a conversation: %s', s.key, s.value), 'give its number, of 32 bits'
        FROM jsonb_each(mapping -> 'steps') s
        WHERE "{schema}".posting_field_int(s.value) IS NULL;
    END IF;
END;
$$;

COMMENT ON FUNCTION "{schema}".cutover_check_mapping(JSONB) IS 'what stands in the way of a cutover with this mapping, and what to do about it';

REVOKE ALL ON FUNCTION "{schema}".cutover_check_mapping(JSONB) FROM PUBLIC;
