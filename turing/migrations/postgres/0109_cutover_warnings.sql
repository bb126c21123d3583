-- As before, in other words.
CREATE OR REPLACE FUNCTION "{schema}".cutover_warnings(mapping JSONB)
RETURNS TABLE (key TEXT, problem TEXT, cure TEXT)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    of_table CONSTANT REGCLASS := "{schema}".cutover_table(mapping);
    table_name CONSTANT TEXT := mapping ->> 'table';
    base_name CONSTANT TEXT := "{schema}".cutover_name(mapping ->> 'table', '_base'::text);
    columns TEXT[];
    statements REGCLASS;
    instead TEXT;
BEGIN
    IF of_table IS NULL THEN
        RETURN;
    END IF;
    columns := ARRAY(
        SELECT m.value FROM jsonb_each_text(mapping) m
        WHERE m.key IN ('posting_id', 'current', 'outputs', 'history', 'terminal', 'updated_at', 'counter')
    );
    RETURN QUERY
    SELECT
        'table',
        format('%s %s is bound to the table, whatever its name is', d.kind, d.name),
        CASE
            WHEN d.kind = 'view' AND d.statement IS NOT NULL THEN
                'none needed: switch-reads makes it again, so that it reads from the events'
            WHEN d.kind = 'foreign key' THEN
                format('before deprecate: drop it, or let it refer to "{schema}".postings; %I takes none', table_name)
            ELSE format('after switch-reads, and before deprecate: make it again, over %I', table_name)
        END
    FROM "{schema}".cutover_dependents(of_table::oid) d
    ORDER BY 2;

    RETURN QUERY
    SELECT
        'table',
        format('column %I has no default, may not be null and is not mapped: a posting that begins in the events cannot get a row, and its append is refused', a.attname),
        format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT …, or begin postings by dual_write(…, old_row => …)', of_table, a.attname)
    FROM pg_attribute a
    WHERE a.attrelid = of_table
        AND a.attnum > 0
        AND NOT a.attisdropped
        AND a.attnotnull
        AND NOT a.atthasdef
        AND a.attidentity = ''
        AND a.attname <> ALL (columns);

    RETURN QUERY
    SELECT
        'table',
        format('constraint %I of the table may refuse what the events say, and with it the append: %s', k.conname, pg_get_constraintdef(k.oid)),
        format('relax it, unless every state of the events keeps it: ALTER TABLE %s DROP CONSTRAINT %I', of_table, k.conname)
    FROM pg_constraint k
    WHERE k.conrelid = of_table
        AND k.contype IN ('c', 'f', 'u', 'x')
        AND EXISTS (
            SELECT
            FROM pg_attribute a
            WHERE a.attrelid = of_table AND a.attnum = ANY (k.conkey) AND a.attname = ANY (columns)
                AND (a.attname <> mapping ->> 'posting_id' OR k.contype = 'f')
        )
    ORDER BY 2;

    RETURN QUERY
    SELECT
        'table',
        format(
            'trigger %I of the table also runs when the events write it, and when programs write the view: with the rights of who owns the events, and with search_path = %I',
            t.tgname, mapping ->> 'schema'
        ),
        format('look whether it shall; if it needs another one: ALTER FUNCTION %s SET search_path = …', t.tgfoid::regprocedure)
    FROM pg_trigger t
    WHERE t.tgrelid = of_table
        AND NOT t.tgisinternal
        AND t.tgname NOT IN (
            SELECT s.name FROM "{schema}".cutover_trigger_statements(of_table, mapping ->> 'posting_id', FALSE) s
        )
    ORDER BY 2;

    RETURN QUERY
    SELECT
        m.key,
        format('index %s has the column %I, which reads take from the events after switch-reads: they do not use it then', i.indexrelid::regclass, a.attname),
        'let programs look for postings by their id, or by a read model'
    FROM pg_index i
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[])
    JOIN jsonb_each_text(mapping) m ON m.value = a.attname
        AND m.key IN ('current', 'outputs', 'history', 'terminal', 'counter')
    WHERE i.indrelid = of_table
    ORDER BY 1, 2;

    RETURN QUERY
    SELECT
        'table',
        format('%s, who owns the events, may not register postings: rows of those that are not registered are refused', c.relowner::regrole),
        format('GRANT INSERT ON "{schema}".postings TO %s', c.relowner::regrole)
    FROM pg_class c
    WHERE c.oid = '"{schema}"."{events}"'::regclass
        AND NOT has_table_privilege(c.relowner, '"{schema}".postings'::regclass, 'INSERT');

    RETURN QUERY
    SELECT
        m.key,
        format('column %I may not be null, and a posting that stands at no conversation has none there: its append is refused', a.attname),
        format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', of_table, a.attname)
    FROM jsonb_each_text(mapping) m
    JOIN pg_attribute a ON a.attrelid = of_table AND a.attname = m.value AND a.attnotnull
    WHERE m.key = 'current';

    -- the name is a part of what is sent, and a view receives nothing
    RETURN QUERY
    SELECT
        'table',
        format('publication %I has it: from switch-reads on its rows are sent as those of %I', p.pubname, base_name),
        format('before switch-reads: let subscribers have a table %I, or drop it from the publication', base_name)
    FROM pg_publication_tables p
    JOIN pg_namespace n ON n.nspname = p.schemaname
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
    WHERE c.oid = of_table
    UNION ALL
    SELECT
        'table',
        format('subscription %I writes it, by its name: from switch-reads on that is a view, and the subscription stops', s.subname),
        'end it before switch-reads'
    FROM pg_subscription_rel r
    JOIN pg_subscription s ON s.oid = r.srsubid
    WHERE r.srrelid = of_table
    ORDER BY 2;

    IF EXISTS (SELECT FROM pg_class c WHERE c.oid = of_table AND c.relpersistence = 'u') THEN
        RETURN QUERY SELECT
            'table', 'it is unlogged: after a crash of the server it is empty, and its postings are not',
            format('ALTER TABLE %s SET LOGGED', of_table);
    END IF;

    instead := format(
        'from dual-write on write it to %I.%I, which takes it and is the same table; in phase reads-switched, too',
        mapping ->> 'schema', base_name
    );
    RETURN QUERY
    SELECT
        'table',
        format('function %s has INSERT … ON CONFLICT or MERGE, and the name of the table: the view of that name takes neither', p.oid::regprocedure),
        instead
    FROM pg_proc p
    JOIN pg_language l ON l.oid = p.prolang AND l.lanname NOT IN ('c', 'internal')
    WHERE p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
        -- the store's own name its schema
        AND (p.pronamespace <> '"{schema}"'::regnamespace OR position('"{schema}".' IN p.prosrc) = 0)
        AND position(lower(table_name) IN lower(p.prosrc)) > 0
        AND p.prosrc ~* 'on[[:space:]]+conflict|merge[[:space:]]+into'
    ORDER BY 2;
    SELECT c.oid INTO statements
    FROM pg_extension e
    JOIN pg_class c ON c.relnamespace = e.extnamespace AND c.relname = 'pg_stat_statements' AND c.relkind = 'v'
    WHERE e.extname = 'pg_stat_statements';
    IF statements IS NOT NULL THEN
        BEGIN
            RETURN QUERY EXECUTE format(
                $query$
                    SELECT 'table', format(%L, "{schema}".cutover_short(min(s.query))), %L
                    FROM %s s
                    WHERE s.dbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
                        AND position(lower(%L) IN lower(s.query)) > 0
                        AND s.query ~* '^[[:space:]]*(with[[:space:]].*)?(insert[[:space:]]+into.*on[[:space:]]+conflict|merge[[:space:]]+into)'
                    GROUP BY s.queryid
                    ORDER BY 2
                    LIMIT 20
                $query$,
                'a program uses INSERT … ON CONFLICT or MERGE, which the view of that name does not take: %s', instead, statements, table_name
            );
            RETURN;
        EXCEPTION
            -- it is installed, and not loaded, or not for this user
            WHEN object_not_in_prerequisite_state OR insufficient_privilege THEN
                NULL;
        END;
    END IF;
    RETURN QUERY SELECT
        'table',
        format('whether a program uses INSERT … ON CONFLICT or MERGE on %I, which the view of that name does not take, cannot be seen without pg_stat_statements', table_name),
        'search the programs; ' || instead;
END;
$$;
