-- How states of postings are written in the old table's form. What is there of a conversation stays as it
-- is; what is new follows `forms`, that is what the rows of the table have:
--
--   current, outputs  names: steps by their names where they have one; ids: numbers
--   history           names; ids; texts: numbers in strings. Of objects it is what their key has

CREATE FUNCTION "{schema}".cutover_outputs_form(kept JSONB, outputs JSONB, steps JSONB, form TEXT) RETURNS JSONB
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT coalesce(jsonb_object_agg(w.key, w.value), '{}')
        FROM (
            -- keys without an output are none of the events' business
            SELECT k.key, k.value
            FROM jsonb_each(CASE jsonb_typeof(kept) WHEN 'object' THEN kept END) k
            WHERE k.value = 'null'
                AND NOT outputs ? coalesce("{schema}".cutover_conversation(steps, k.key)::text, '')
            UNION ALL
            SELECT
                coalesce(
                    (
                        SELECT min(k.key)
                        FROM jsonb_object_keys(CASE jsonb_typeof(kept) WHEN 'object' THEN kept END) k (key)
                        WHERE "{schema}".cutover_conversation(steps, k.key)::text = o.key
                    ),
                    CASE form WHEN 'names' THEN n.names ->> o.key END,
                    o.key
                ),
                o.value
            FROM "{schema}".cutover_step_names(steps) n (names)
            CROSS JOIN jsonb_each(outputs) o
        ) w
    );
END;
$$;

-- As a JSON array. The same conversation for the same time keeps its element, with whatever else is in it.
CREATE FUNCTION "{schema}".cutover_history_form(
    kept JSONB, execution_sequence INT[], steps JSONB, history_key TEXT, form TEXT
) RETURNS JSONB
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT coalesce(jsonb_agg(
            coalesce(
                k.item,
                CASE WHEN history_key IS NULL THEN w.written ELSE jsonb_build_object(history_key, w.written) END
            )
            ORDER BY s.place
        ), '[]')
        FROM "{schema}".cutover_step_names(steps) n (names)
        CROSS JOIN (
            SELECT u.id, u.place, row_number() OVER (PARTITION BY u.id ORDER BY u.place) AS time
            FROM unnest(execution_sequence) WITH ORDINALITY u (id, place)
        ) s
        CROSS JOIN LATERAL (
            SELECT CASE form
                WHEN 'names' THEN coalesce(n.names -> s.id::text, to_jsonb(s.id))
                WHEN 'texts' THEN to_jsonb(s.id::text)
                ELSE to_jsonb(s.id)
            END AS written
        ) w
        LEFT JOIN (
            SELECT h.item, h.id, row_number() OVER (PARTITION BY h.id ORDER BY h.place) AS time
            FROM (
                SELECT e.item, e.place, "{schema}".cutover_conversation(
                    steps,
                    CASE jsonb_typeof(e.item) WHEN 'object' THEN e.item ->> history_key ELSE e.item #>> '{}' END
                ) AS id
                FROM jsonb_array_elements(CASE jsonb_typeof(kept) WHEN 'array' THEN kept END)
                    WITH ORDINALITY e (item, place)
            ) h
        ) k ON k.id = s.id AND k.time = s.time
    );
END;
$$;

-- How the table writes conversations, by some of its rows; where they do not tell, by names if there are
-- steps. It reads a thousand rows at most.
CREATE FUNCTION "{schema}".cutover_forms() RETURNS JSONB
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    cutover "{schema}".cutovers;
    steps JSONB;
    read TEXT[] := '{}';
    part TEXT;
    is_array BOOLEAN;
    forms JSONB;
BEGIN
    SELECT c.* INTO cutover FROM "{schema}".cutovers c WHERE c.id = 1;
    steps := coalesce(nullif(cutover.mapping -> 'steps', 'null'), '{}');
    FOREACH part IN ARRAY '{current,outputs,history}'::text[] LOOP
        SELECT t.typcategory = 'A' INTO is_array
        FROM pg_attribute a
        JOIN pg_type t ON t.oid = "{schema}".cutover_base_type(a.atttypid)
        WHERE a.attrelid = cutover.old_table
            AND a.attname = cutover.mapping ->> part;
        read := read || CASE
            WHEN NOT FOUND THEN 'NULL::jsonb'
            WHEN part = 'current' OR is_array THEN format('to_jsonb(b.%I)', cutover.mapping ->> part)
            ELSE format('"{schema}".cutover_json(b.%I::text)', cutover.mapping ->> part)
        END;
    END LOOP;
    EXECUTE format(
        $query$
            WITH read AS (
                SELECT %s AS current, %s AS outputs, %s AS history
                FROM %s b
                LIMIT 1000
            ),
            written AS (
                SELECT 'current' AS part, r.current AS item FROM read r
                UNION ALL
                SELECT 'outputs', to_jsonb(o.key)
                FROM read r
                CROSS JOIN jsonb_object_keys(CASE jsonb_typeof(r.outputs) WHEN 'object' THEN r.outputs END) o (key)
                UNION ALL
                SELECT 'history', CASE jsonb_typeof(h.item) WHEN 'object' THEN h.item -> $1 ELSE h.item END
                FROM read r
                CROSS JOIN jsonb_array_elements(CASE jsonb_typeof(r.history) WHEN 'array' THEN r.history END) h (item)
            )
            SELECT jsonb_object_agg(p.part, coalesce(w.form, CASE WHEN $2 = '{}' THEN 'ids' ELSE 'names' END))
            FROM unnest('{current,outputs,history}'::text[]) p (part)
            LEFT JOIN (
                SELECT
                    w.part,
                    CASE
                        WHEN bool_or($2 ? (w.item #>> '{}')) THEN 'names'
                        WHEN w.part = 'history' AND bool_or(jsonb_typeof(w.item) = 'string') THEN 'texts'
                        ELSE 'ids'
                    END AS form
                FROM written w
                WHERE jsonb_typeof(w.item) IN ('string', 'number')
                GROUP BY w.part
            ) w ON w.part = p.part
        $query$,
        read[1], read[2], read[3], cutover.old_table
    ) INTO forms USING cutover.mapping ->> 'history_key', steps;
    RETURN forms;
END;
$$;

REVOKE ALL ON FUNCTION
    "{schema}".cutover_outputs_form(JSONB, JSONB, JSONB, TEXT),
    "{schema}".cutover_history_form(JSONB, INT[], JSONB, TEXT, TEXT),
    "{schema}".cutover_forms()
FROM PUBLIC;
