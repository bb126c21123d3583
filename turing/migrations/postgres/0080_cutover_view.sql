-- How a mapped column is had from a row `p` of posting_state_projection, as an expression of SQL and in the
-- column's form. Its functions are the server's own, which everybody may call who reads the view, except where
-- objects of the old history are kept that are in JSON as text.
CREATE FUNCTION "{schema}".cutover_expression(key TEXT, old_column TEXT, type TEXT, forms JSONB, mapping JSONB)
RETURNS TEXT
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    steps CONSTANT JSONB := coalesce(nullif(mapping -> 'steps', 'null'), '{}');
    form CONSTANT TEXT := forms ->> key;
    is_json CONSTANT BOOLEAN := type = 'json' OR type = 'jsonb';
    names CONSTANT TEXT := format('%L::pg_catalog.jsonb', "{schema}".cutover_step_names(steps));
    written TEXT;
    items TEXT;
BEGIN
    CASE key
        WHEN 'current' THEN
            RETURN CASE
                WHEN type LIKE 'int%' THEN 'p.current_conversation_id'
                WHEN form = 'names' THEN format('coalesce(%s ->> p.current_conversation_id::text, p.current_conversation_id::text)', names)
                ELSE 'p.current_conversation_id::text'
            END;
        WHEN 'terminal' THEN
            RETURN 'coalesce(p.is_terminal, FALSE)';
        WHEN 'counter' THEN
            RETURN 'coalesce(pg_catalog.cardinality(p.execution_sequence), 0)';
        WHEN 'updated_at' THEN
            RETURN CASE type WHEN 'timestamptz' THEN 'p.last_updated' ELSE 'p.last_updated AT TIME ZONE ''UTC''' END;
        WHEN 'outputs' THEN
            written := 'coalesce(p.outputs, ''{}''::pg_catalog.jsonb)';
            IF form = 'names' THEN
                written := format(
                    '(SELECT coalesce(pg_catalog.jsonb_object_agg(coalesce(%s ->> o.key, o.key), o.value), ''{}'') FROM pg_catalog.jsonb_each(%s) o)',
                    names, written
                );
            END IF;
        WHEN 'history' THEN
            IF type LIKE '!_int%' ESCAPE '!' THEN
                RETURN 'coalesce(p.execution_sequence, ''{}'')';
            END IF;
            items := CASE form
                WHEN 'names' THEN format('coalesce(%s ->> s.id::text, s.id::text)', names)
                ELSE 's.id::text'
            END;
            IF left(type, 1) = '_' THEN
                RETURN format(
                    'ARRAY(SELECT %s FROM pg_catalog.unnest(p.execution_sequence) WITH ORDINALITY s (id, place) ORDER BY s.place)', items
                );
            END IF;
            items := CASE form
                WHEN 'names' THEN format('coalesce(%s -> s.id::text, pg_catalog.to_jsonb(s.id))', names)
                WHEN 'texts' THEN 'pg_catalog.to_jsonb(s.id::text)'
                ELSE 'pg_catalog.to_jsonb(s.id)'
            END;
            IF mapping ->> 'history_key' IS NOT NULL THEN
                items := format('pg_catalog.jsonb_build_object(%L, %s)', mapping ->> 'history_key', items);
            END IF;
            IF mapping ->> 'history_key' IS NULL OR old_column IS NULL THEN
                written := format(
                    '(SELECT coalesce(pg_catalog.jsonb_agg(%s ORDER BY s.place), ''[]'') FROM pg_catalog.unnest(p.execution_sequence) WITH ORDINALITY s (id, place))',
                    items
                );
            ELSE
                -- as cutover_history_form has it
                written := format(
                    $expression$(
        SELECT coalesce(pg_catalog.jsonb_agg(coalesce(k.item, %1$s) ORDER BY s.place), '[]')
        FROM (
            SELECT u.id, u.place, pg_catalog.row_number() OVER (PARTITION BY u.id ORDER BY u.place) AS time
            FROM pg_catalog.unnest(p.execution_sequence) WITH ORDINALITY u (id, place)
        ) s
        LEFT JOIN (
            SELECT h.item, h.id, pg_catalog.row_number() OVER (PARTITION BY h.id ORDER BY h.place) AS time
            FROM (
                SELECT e.item, e.place, coalesce(%2$L::pg_catalog.jsonb ->> (e.item ->> %3$L), e.item ->> %3$L) AS id
                FROM pg_catalog.jsonb_array_elements(CASE pg_catalog.jsonb_typeof(%4$s) WHEN 'array' THEN %4$s END)
                    WITH ORDINALITY e (item, place)
            ) h
        ) k ON k.id = s.id::text AND k.time = s.time
    )$expression$,
                    items, steps, mapping ->> 'history_key',
                    CASE WHEN type = 'jsonb' THEN old_column ELSE format('"{schema}".cutover_view_json(%s::text)', old_column) END
                );
            END IF;
    END CASE;
    -- of JSON in a text or in the type json
    RETURN CASE WHEN type = 'jsonb' THEN written WHEN is_json THEN written || '::text::json' ELSE written || '::text' END;
END;
$$;

-- The statement that makes the view with the old table's name: its columns in their order and types, the
-- mapped ones from posting_state_projection.
--
--   switched    one row for each of the table `base`; what the events know nothing of is as the table has it.
--               updated_at is the table's: who writes the events writes it as well
--   deprecated  and one for each posting that has begun since, with nulls for what is not mapped. updated_at
--               is the table's where the events say nothing since
--   dropped     the table is gone: one for each posting that has begun
--
-- There is no join in the first, so that its rows can be locked.
CREATE FUNCTION "{schema}".cutover_view(how TEXT, base TEXT) RETURNS TEXT
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    cutover "{schema}".cutovers;
    part RECORD;
    expression TEXT;
    ending TEXT;
    of_table TEXT[] := '{}';
    of_events TEXT[] := '{}';
    posting_key TEXT;
    key_type TEXT;
    of_posting TEXT;
BEGIN
    SELECT c.* INTO cutover FROM "{schema}".cutovers c WHERE c.id = 1;
    posting_key := format('b.%I', cutover.mapping ->> 'posting_id');
    of_posting := format('FROM "{schema}".posting_state_projection p WHERE p.posting_id = %s', posting_key);
    FOR part IN
        SELECT
            a.attname::text AS name,
            format_type(a.atttypid, a.atttypmod) AS type,
            t.typname::text AS base_type,
            c.typtype = 'd' AS is_domain,
            m.key,
            CASE WHEN a.attcollation NOT IN (0, c.typcollation) THEN (
                SELECT format(' COLLATE %I.%I', n.nspname, l.collname)
                FROM pg_collation l
                JOIN pg_namespace n ON n.oid = l.collnamespace
                WHERE l.oid = a.attcollation
            ) ELSE '' END AS collation
        FROM pg_attribute a
        JOIN pg_type c ON c.oid = a.atttypid
        JOIN pg_type t ON t.oid = "{schema}".cutover_base_type(a.atttypid)
        LEFT JOIN jsonb_each_text(cutover.mapping) m ON m.value = a.attname
            AND m.key IN ('posting_id', 'current', 'outputs', 'history', 'terminal', 'updated_at', 'counter')
        WHERE a.attrelid = cutover.old_table
            AND a.attnum > 0
            AND NOT a.attisdropped
        ORDER BY a.attnum
    LOOP
        ending := format('::%s%s', part.type, part.collation);
        IF part.key IS NULL THEN
            of_table := of_table || format('b.%I', part.name);
            -- a domain may refuse a null that is written as one, and no null of an array
            of_events := of_events || CASE part.is_domain
                WHEN TRUE THEN format('(''{}''::%s[])[1]%s AS %I', part.type, part.collation, part.name)
                ELSE format('NULL%s AS %I', ending, part.name)
            END;
            CONTINUE;
        END IF;
        IF part.key = 'posting_id' THEN
            of_table := of_table || posting_key;
            of_events := of_events || format('p.posting_id%s AS %I', ending, part.name);
            key_type := part.base_type;
            CONTINUE;
        END IF;
        expression := "{schema}".cutover_expression(part.key, NULL::text, part.base_type, cutover.forms, cutover.mapping);
        of_events := of_events || format('(%s)%s AS %I', expression, ending, part.name);
        expression := "{schema}".cutover_expression(part.key, format('b.%I', part.name), part.base_type, cutover.forms, cutover.mapping);
        of_table := of_table || format(
            CASE
                WHEN part.key = 'updated_at' AND how = 'switched' THEN 'b.%1$I'
                WHEN part.key = 'updated_at' THEN
                    'coalesce((SELECT (%2$s)%3$s %4$s AND p.last_updated > %5$L::timestamptz), b.%1$I) AS %1$I'
                -- that a posting stands nowhere is a state, too
                WHEN part.key = 'current' THEN 'CASE WHEN EXISTS (SELECT %4$s) THEN (SELECT (%2$s)%3$s %4$s) ELSE b.%1$I END AS %1$I'
                ELSE 'coalesce((SELECT (%2$s)%3$s %4$s), b.%1$I) AS %1$I'
            END,
            part.name, expression, ending, of_posting,
            to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US+00')
        );
    END LOOP;

    RETURN concat_ws(
        E'\n',
        format('CREATE OR REPLACE VIEW %I.%I AS', cutover.old_schema, cutover.old_name),
        CASE WHEN how <> 'dropped' THEN format(E'SELECT\n    %s\nFROM %s b', array_to_string(of_table, E',\n    '), base) END,
        CASE how WHEN 'deprecated' THEN 'UNION ALL' END,
        CASE WHEN how <> 'switched' THEN format(
            E'SELECT\n    %s\nFROM "{schema}".posting_state_projection p\nWHERE (p.current_conversation_id IS NOT NULL '
            'OR p.execution_sequence <> ''{}'' OR p.outputs <> ''{}'' OR p.is_terminal)',
            array_to_string(of_events, E',\n    ')
        ) END,
        CASE WHEN how <> 'switched' AND key_type = 'int2' THEN '    AND p.posting_id BETWEEN -32768 AND 32767' END,
        CASE how WHEN 'deprecated' THEN format('    AND NOT EXISTS (SELECT FROM %s b WHERE %s = p.posting_id)', base, posting_key) END
    );
END;
$$;

REVOKE ALL ON FUNCTION
    "{schema}".cutover_expression(TEXT, TEXT, TEXT, JSONB, JSONB),
    "{schema}".cutover_view(TEXT, TEXT)
FROM PUBLIC;
