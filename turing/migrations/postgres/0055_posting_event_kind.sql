-- What an append asks of each event, as before, without what the server would plan anew each time: a
-- function in SQL is put into the expression that calls it only if it has no query, and if what it is
-- called with is short where it is used more than once.

-- The lowest of the conversations that are the keys of an object.
CREATE OR REPLACE FUNCTION "{schema}".posting_lowest_key(conversations JSONB) RETURNS INT
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    -- keys stand in the order of their lengths, and then of their bytes
    first CONSTANT INT := "{schema}".posting_note_int(
        pg_catalog.jsonb_path_query_first(conversations, '$.keyvalue().key')
    );
BEGIN
    -- none with a sign, or with zeros before it
    IF first OPERATOR(pg_catalog.>) 0 AND conversations::text OPERATOR(pg_catalog.!~) '"[-0]' THEN
        RETURN first;
    END IF;
    RETURN (
        SELECT pg_catalog.min("{schema}".posting_note_int(pg_catalog.to_jsonb(k.id)))
        FROM pg_catalog.jsonb_object_keys(conversations) k (id)
    );
END;
$$;

CREATE OR REPLACE FUNCTION "{schema}".posting_event_kind(event_type TEXT, event_data JSONB, metadata JSONB) RETURNS TEXT
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    -- what a program of Turing's reads of metadata that have a reserved key
    fields JSONB;
BEGIN
    IF pg_catalog.jsonb_typeof(event_data) <> 'object' OR "{schema}".posting_has_reserved_key(event_data) THEN
        RETURN NULL;
    END IF;
    -- what is written now needs no more than this look
    IF (metadata -> 'event_version' = '"1.0"') IS NOT TRUE THEN
        IF NOT "{schema}".posting_reads_version(metadata -> 'event_version') THEN
            RETURN NULL;
        END IF;
    END IF;
    IF "{schema}".posting_has_reserved_key(metadata) THEN
        fields := CASE
            WHEN event_type = 'posting_entered_run' THEN NULL
            WHEN event_type = 'posting_terminal' THEN metadata -> 'run_id'
            WHEN event_type IN (
                'script_execution_completed', 'llm_call_completed', 'human_task_completed',
                'script_execution_failed', 'llm_call_failed', 'human_task_failed'
            ) THEN
                pg_catalog.jsonb_build_array(
                    metadata -> 'conversation_id', metadata -> 'actor_id', metadata -> 'execution_order',
                    metadata -> 'duration_ms', metadata -> 'retry_count', metadata -> 'run_id'
                )
            ELSE pg_catalog.jsonb_build_array(metadata -> 'conversation_id', metadata -> 'run_id')
        END;
        IF "{schema}".posting_has_reserved_key(fields) THEN
            RETURN NULL;
        END IF;
    END IF;
    IF event_type IN ('script_execution_completed', 'llm_call_completed', 'human_task_completed') THEN
        RETURN 'completed';
    ELSIF event_type = 'branch_taken' THEN
        IF "{schema}".posting_field_count(event_data -> 'rule') IS NOT NULL
            AND "{schema}".posting_field_int(event_data -> 'priority') IS NOT NULL
            AND pg_catalog.jsonb_typeof(event_data -> 'condition') = 'string'
            AND (
                coalesce(event_data -> 'to', 'null') = 'null'
                OR "{schema}".posting_field_int(event_data -> 'to') IS NOT NULL
            )
        THEN
            RETURN 'branched';
        END IF;
    ELSIF event_type IN ('script_execution_failed', 'llm_call_failed', 'human_task_failed') THEN
        RETURN 'failed';
    ELSIF event_type = 'retry_scheduled' THEN
        IF "{schema}".posting_field_count(event_data -> 'attempt') IS NOT NULL
            AND pg_catalog.jsonb_typeof(event_data -> 'failure_type') = 'string'
            AND "{schema}".posting_field_instant(event_data -> 'due_at') IS NOT NULL
        THEN
            RETURN 'retried';
        END IF;
    ELSIF event_type = 'path_ended' THEN
        IF pg_catalog.jsonb_typeof(event_data -> 'reason') = 'string'
            AND (
                coalesce(event_data -> 'rule', 'null') = 'null'
                OR "{schema}".posting_field_count(event_data -> 'rule') IS NOT NULL
            )
            AND (
                coalesce(event_data -> 'to', 'null') = 'null'
                OR "{schema}".posting_field_int(event_data -> 'to') IS NOT NULL
            )
        THEN
            RETURN 'ended';
        END IF;
    ELSIF event_type = 'posting_terminal' THEN
        RETURN 'terminal';
    ELSIF event_type = 'posting_entered_run' THEN
        IF "{schema}".posting_note_uuid(event_data -> 'run_id') IS NOT NULL
            AND "{schema}".posting_field_int(event_data -> 'workflow_id') IS NOT NULL
            AND "{schema}".posting_field_int(event_data -> 'entry_conversation_id') IS NOT NULL
        THEN
            RETURN 'entered';
        END IF;
    ELSIF event_type = 'circuit_breaker_open' THEN
        RETURN 'other';
    END IF;
    RETURN NULL;
END;
$$;
