-- append_event as before, which now refuses JSON that programs could not read: numbers beyond a double,
-- what is nested deeper than they write it, and the keys that their reader of JSON takes for its own.
-- A raw INSERT can still write such an event; then the posting cannot be loaded, and validate tells.
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
    problem TEXT;
BEGIN
    IF append_event.event_type IS NULL OR append_event.event_type !~ '^[a-z][a-z0-9_]{0,99}$' THEN
        RAISE EXCEPTION 'event_type is no name of an event: %', coalesce(quote_literal(append_event.event_type), 'null')
            USING ERRCODE = 'invalid_parameter_value',
                HINT = 'use small letters, digits and underscores, and a verb in the past tense, such as llm_call_completed';
    END IF;
    IF octet_length(append_event.idempotency_key) NOT BETWEEN 1 AND 255
        OR append_event.idempotency_key ~ '[\x01-\x1f\x7f-\x9f]'
    THEN
        RAISE EXCEPTION 'idempotency_key must have 1 to 255 bytes and no control characters'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    FOR part, content IN
        VALUES ('event_data', append_event.event_data), ('metadata', append_event.metadata)
    LOOP
        problem := CASE
            WHEN content::text ~ '"\$serde_json::private::(RawValue|Number)":' THEN
                'a key that belongs to the programs'' own reader of JSON'
            WHEN jsonb_path_exists(content, 'strict $.**{64} ? (@.type() == "object" || @.type() == "array")') THEN
                'arrays and objects nested deeper than 64 levels'
            -- so many digits has whatever is beyond a double, and hardly anything else
            WHEN content::text ~ '[0-9]{155}[0-9]{154}' AND jsonb_path_exists(
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
