-- What the mapped columns of an old row say of its posting, for the view cutover_old_states. It answers for
-- every row: where a column cannot be read, `problem` says why, and there is no state. A column that is not
-- mapped is null, and so is none that is.
--
-- outputs and history are given as JSON, or as text that has to be read as JSON.
CREATE FUNCTION "{schema}".cutover_read_row(
    mapping JSONB,
    posting_key BIGINT,
    current_step TEXT,
    outputs_json JSONB,
    outputs_text TEXT,
    history_json JSONB,
    history_text TEXT,
    terminal BOOLEAN,
    completed BIGINT,
    OUT posting_id INT,
    OUT current_conversation_id INT,
    OUT execution_sequence INT[],
    OUT outputs JSONB,
    OUT is_terminal BOOLEAN,
    OUT counter BIGINT,
    OUT problem_column TEXT,
    OUT problem TEXT
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    nothing CONSTANT JSONB := '{}';
    steps CONSTANT JSONB := CASE jsonb_typeof(mapping -> 'steps') WHEN 'object' THEN mapping -> 'steps' ELSE nothing END;
    strange TEXT;
    place BIGINT;
BEGIN
    problem_column := mapping ->> 'posting_id';
    IF (posting_key BETWEEN -2147483648 AND 2147483647) IS NOT TRUE THEN
        problem := format('%s is no id of a posting, which has 32 bits', coalesce(posting_key::text, 'null'));
    ELSE
        posting_id := posting_key;
    END IF;

    IF problem IS NULL AND mapping ->> 'current' IS NOT NULL THEN
        problem_column := mapping ->> 'current';
        IF btrim(current_step) <> '' THEN
            current_conversation_id := "{schema}".cutover_conversation(steps, current_step);
            IF current_conversation_id IS NULL THEN
                problem := format('%s is neither a step nor the id of a conversation', to_jsonb(current_step));
            END IF;
        END IF;
    END IF;

    IF problem IS NULL AND mapping ->> 'outputs' IS NOT NULL THEN
        problem_column := mapping ->> 'outputs';
        outputs_json := coalesce(
            nullif(CASE WHEN btrim(outputs_text, E' \t\r\n') <> '' THEN outputs_text::jsonb ELSE outputs_json END, 'null'),
            nothing
        );
        IF jsonb_typeof(outputs_json) <> 'object' THEN
            problem := format('it is no object, but of the type %s', jsonb_typeof(outputs_json));
        ELSE
            SELECT
                min(o.key) FILTER (WHERE o.id IS NULL),
                count(o.id),
                coalesce(jsonb_object_agg(o.id, o.value) FILTER (WHERE o.id IS NOT NULL), nothing)
            INTO strange, place, outputs
            FROM (
                SELECT e.key, e.value, "{schema}".cutover_conversation(steps, e.key) AS id
                FROM jsonb_each(outputs_json) e
                WHERE e.value <> 'null'
            ) o;
            IF strange IS NOT NULL THEN
                problem := format('its key %s is neither a step nor the id of a conversation', to_jsonb(strange));
            ELSIF place > (SELECT count(*) FROM jsonb_object_keys(outputs)) AND EXISTS (
                SELECT
                FROM jsonb_each(outputs_json) e
                WHERE e.value <> 'null'
                    AND e.value <> outputs -> "{schema}".cutover_conversation(steps, e.key)::text
            ) THEN
                problem := 'two of its keys are the same conversation, with different outputs';
            END IF;
        END IF;
    END IF;

    IF problem IS NULL AND mapping ->> 'history' IS NOT NULL THEN
        problem_column := mapping ->> 'history';
        history_json := coalesce(
            nullif(CASE WHEN btrim(history_text, E' \t\r\n') <> '' THEN history_text::jsonb ELSE history_json END, 'null'),
            '[]'
        );
        IF jsonb_typeof(history_json) <> 'array' THEN
            problem := format('it is no array, but of the type %s', jsonb_typeof(history_json));
        ELSE
            SELECT
                min(h.place) FILTER (WHERE h.id IS NULL),
                coalesce(array_agg(h.id ORDER BY h.place), '{}')
            INTO place, execution_sequence
            FROM (
                SELECT
                    e.place,
                    CASE jsonb_typeof(i.item)
                        WHEN 'number' THEN "{schema}".posting_note_int(i.item)
                        WHEN 'string' THEN "{schema}".cutover_conversation(steps, i.item #>> '{}')
                    END AS id
                FROM jsonb_array_elements(history_json) WITH ORDINALITY e (item, place)
                CROSS JOIN LATERAL (
                    SELECT CASE jsonb_typeof(e.item)
                        WHEN 'object' THEN e.item -> (mapping ->> 'history_key')
                        ELSE e.item
                    END
                ) i (item)
            ) h;
            IF place IS NOT NULL THEN
                problem := format('element %s names no conversation', place);
            END IF;
        END IF;
    END IF;

    IF problem IS NULL THEN
        problem_column := NULL;
        IF mapping ->> 'terminal' IS NOT NULL THEN
            is_terminal := coalesce(terminal, FALSE);
        END IF;
        IF mapping ->> 'counter' IS NOT NULL THEN
            counter := coalesce(completed, 0);
        END IF;
    ELSE
        problem := format('%s: %s', problem_column, problem);
        current_conversation_id := NULL;
        execution_sequence := NULL;
        outputs := NULL;
    END IF;
EXCEPTION
    -- JSON that the database cannot hold, such as a zero byte, and what it has no room for
    WHEN OTHERS THEN
        posting_id := CASE WHEN posting_key BETWEEN -2147483648 AND 2147483647 THEN posting_key END;
        current_conversation_id := NULL;
        execution_sequence := NULL;
        outputs := NULL;
        is_terminal := NULL;
        counter := NULL;
        problem := format('%s: %s', problem_column, SQLERRM);
END;
$$;

REVOKE ALL ON FUNCTION "{schema}".cutover_read_row(
    JSONB, BIGINT, TEXT, JSONB, TEXT, JSONB, TEXT, BOOLEAN, BIGINT
) FROM PUBLIC;
