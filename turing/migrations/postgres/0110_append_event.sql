-- As before, and a refused type is told with those that a posting takes.
CREATE OR REPLACE FUNCTION "{schema}".append_event(
    event_type TEXT,
    aggregate_id INT,
    event_data JSONB DEFAULT '{}',
    metadata JSONB DEFAULT NULL,
    aggregate_type TEXT DEFAULT 'posting',
    idempotency_key TEXT DEFAULT NULL,
    aggregate_version INT DEFAULT NULL
) RETURNS "{schema}"."{events}"
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
DECLARE
    appended "{schema}"."{events}";
    next_version BIGINT;
    part TEXT;
    content JSONB;
    written TEXT;
    problem TEXT;
    -- what a posting takes from an application
    types CONSTANT TEXT[] := '{
        script_execution_completed,llm_call_completed,human_task_completed,script_execution_failed,llm_call_failed,
        human_task_failed,posting_terminal
    }';
BEGIN
    IF append_event.event_type IS NULL OR append_event.event_type !~ '^[a-z][a-z0-9_]{0,99}$' THEN
        RAISE EXCEPTION 'event_type is no name of an event: %', coalesce(quote_literal(append_event.event_type), 'null')
            USING ERRCODE = 'invalid_parameter_value',
                HINT = 'use small letters, digits and underscores, and a verb in the past tense, such as llm_call_completed';
    END IF;
    IF octet_length(append_event.idempotency_key) NOT BETWEEN 1 AND 255
        OR append_event.idempotency_key ~ E'[\\x01-\\x1f\\x7f-\\x9f]'
    THEN
        RAISE EXCEPTION 'idempotency_key must have 1 to 255 bytes and no control characters'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    FOR part, content IN
        VALUES ('event_data', append_event.event_data), ('metadata', append_event.metadata)
    LOOP
        written := content::text;
        problem := CASE
            WHEN octet_length(written) > CASE part WHEN 'event_data' THEN 16777216 ELSE 65536 END THEN
                format('%s bytes, more than %s', octet_length(written), CASE part WHEN 'event_data' THEN '16 MiB' ELSE '64 KiB' END)
            WHEN "{schema}".posting_has_reserved_key(content) THEN
                'a key that belongs to the programs'' own reader of JSON'
            WHEN jsonb_path_exists(content, 'strict $.**{64} ? (@.type() == "object" || @.type() == "array")') THEN
                'arrays and objects nested deeper than 64 levels'
            -- so many digits has whatever is beyond a double, and hardly anything else
            WHEN written ~ '[0-9]{155}[0-9]{154}' AND jsonb_path_exists(
                content,
                'strict $.** ? (@.type() == "number" && (@ > 1.7976931348623157e308 || @ < -1.7976931348623157e308))'
            ) THEN
                'a number beyond a double'
        END;
        IF problem IS NOT NULL THEN
            RAISE EXCEPTION '% has %, which programs cannot read', part, problem
                USING ERRCODE = 'invalid_parameter_value',
                    HINT = 'rename such a key, flatten the value, or write the number as a string';
        END IF;
    END LOOP;

    problem := CASE
        WHEN append_event.event_data IS NULL THEN 'event_data is null'
        WHEN jsonb_typeof(append_event.event_data) <> 'object' THEN
            format('event_data is no object but of the type %s', jsonb_typeof(append_event.event_data))
        WHEN jsonb_typeof(append_event.metadata) NOT IN ('object', 'null') THEN
            format('metadata is no object but of the type %s', jsonb_typeof(append_event.metadata))
        WHEN append_event.aggregate_type = 'posting' THEN
            CASE
                WHEN NOT "{schema}".posting_reads_version(append_event.metadata -> 'event_version') THEN
                    format('event_version in metadata is %s', append_event.metadata -> 'event_version')
                WHEN "{schema}".posting_event_kind(
                    append_event.event_type, append_event.event_data, append_event.metadata
                ) IS NULL THEN
                    format(
                        'programs know no %s of a posting with these fields',
                        append_event.event_type
                    )
            END
        -- of whole numbers the JSON number is read that is written without a point
        WHEN jsonb_typeof(append_event.metadata -> 'event_version') = 'number'
            AND "{schema}".posting_field_count(append_event.metadata -> 'event_version') IS NULL
        THEN
            format('event_version in metadata is %s', append_event.metadata -> 'event_version')
    END;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'programs could not read this event, and with it its whole stream: %', problem
            USING ERRCODE = 'invalid_parameter_value',
                HINT = concat(
                    CASE
                        WHEN append_event.aggregate_type = 'posting' AND append_event.event_type <> ALL (types) THEN
                            format('a posting takes %s from an application; ', array_to_string(types, ', '))
                    END,
                    'write the fields of the type as an object, and event_version as "1.0" or leave it out'
                );
    END IF;

    -- each round that writes nothing has seen somebody else write
    FOR round IN 1 .. 1000 LOOP
        next_version := append_event.aggregate_version;
        IF next_version IS NULL THEN
            SELECT e.aggregate_version + 1::bigint INTO next_version
            FROM "{schema}"."{events}" e
            WHERE e.aggregate_type = append_event.aggregate_type
                AND e.aggregate_id = append_event.aggregate_id
            ORDER BY e.aggregate_version DESC
            LIMIT 1;
            next_version := coalesce(next_version, 1);
            IF next_version > 2147483647 THEN
                RAISE EXCEPTION 'the stream % % has an event of the highest version there is, so none can follow',
                    append_event.aggregate_type, append_event.aggregate_id
                    USING ERRCODE = 'program_limit_exceeded',
                        HINT = 'an INSERT gave it that number; events cannot be removed, so go on in another stream';
            END IF;
        END IF;

        IF append_event.idempotency_key IS NOT NULL THEN
            SELECT e.* INTO appended
            FROM "{schema}"."{events}" e
            WHERE e.aggregate_type = append_event.aggregate_type
                AND e.aggregate_id = append_event.aggregate_id
                AND e.idempotency_key = append_event.idempotency_key;
            IF FOUND THEN
                IF appended.event_type = append_event.event_type
                    AND appended.event_data = append_event.event_data
                    AND coalesce(appended.append_size, 1) = 1
                    AND appended.append_id IS NULL
                THEN
                    RETURN appended;
                END IF;
                RAISE EXCEPTION 'idempotency_key % was used on % % for something else: event % (%)',
                    quote_literal(append_event.idempotency_key), append_event.aggregate_type,
                    append_event.aggregate_id, appended.aggregate_version, appended.event_type
                    USING ERRCODE = 'ES004',
                        HINT = 'make keys of what is done, such as run, posting, conversation and attempt',
                        SCHEMA = '{schema}',
                        TABLE = '{events}';
            END IF;
        END IF;

        IF append_event.aggregate_version IS NOT NULL THEN
            IF EXISTS (
                SELECT
                FROM "{schema}"."{events}" e
                WHERE e.aggregate_type = append_event.aggregate_type
                    AND e.aggregate_id = append_event.aggregate_id
                    AND e.aggregate_version = append_event.aggregate_version
            ) THEN
                RAISE EXCEPTION 'duplicate key value violates unique constraint "unique_aggregate_version"'
                    USING ERRCODE = 'unique_violation',
                        DETAIL = format(
                            'Key (aggregate_type, aggregate_id, aggregate_version)=(%s, %s, %s) already exists.',
                            append_event.aggregate_type, append_event.aggregate_id, append_event.aggregate_version
                        ),
                        HINT = 'load the state again and decide again',
                        SCHEMA = '{schema}',
                        TABLE = '{events}',
                        CONSTRAINT = 'unique_aggregate_version';
            END IF;
            IF append_event.aggregate_version > 1 AND NOT EXISTS (
                SELECT
                FROM "{schema}"."{events}" e
                WHERE e.aggregate_type = append_event.aggregate_type
                    AND e.aggregate_id = append_event.aggregate_id
                    AND e.aggregate_version = append_event.aggregate_version - 1
            ) THEN
                RAISE EXCEPTION 'event % of % % would leave a gap: there is no event %',
                    append_event.aggregate_version, append_event.aggregate_type,
                    append_event.aggregate_id, append_event.aggregate_version - 1
                    USING ERRCODE = 'integrity_constraint_violation',
                        HINT = 'load the state again and decide again, or leave aggregate_version out',
                        SCHEMA = '{schema}',
                        TABLE = '{events}',
                        CONSTRAINT = 'unique_aggregate_version';
            END IF;
        END IF;

        INSERT INTO "{schema}"."{events}" AS e (
            aggregate_type,
            aggregate_id,
            aggregate_version,
            event_type,
            event_data,
            metadata,
            idempotency_key,
            append_size
        )
        VALUES (
            append_event.aggregate_type,
            append_event.aggregate_id,
            next_version,
            append_event.event_type,
            append_event.event_data,
            append_event.metadata,
            append_event.idempotency_key,
            CASE WHEN append_event.idempotency_key IS NOT NULL THEN 1 END
        )
        ON CONFLICT DO NOTHING
        RETURNING e.* INTO appended;
        IF FOUND THEN
            RETURN appended;
        END IF;
    END LOOP;
    RAISE EXCEPTION 'other transactions appended to % % faster, 1000 times; nothing was written',
        append_event.aggregate_type, append_event.aggregate_id
        USING ERRCODE = 'serialization_failure';
END;
$$;
