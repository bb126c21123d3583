-- What an event does to a posting, as before; who claims a task of people, or gives it back, moves nothing. The
-- fields of these two may all be absent.
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
            WHEN event_type IN ('posting_entered_run', 'posting_state_imported') THEN NULL
            WHEN event_type IN ('posting_terminal', 'posting_moved_to_definition') THEN metadata -> 'run_id'
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
    ELSIF event_type IN (
        'circuit_breaker_open', 'posting_moved_to_definition', 'human_task_claimed', 'human_task_released'
    ) THEN
        RETURN 'other';
    ELSIF event_type = 'posting_state_imported' THEN
        IF (
            pg_catalog.jsonb_typeof(event_data -> 'source') = 'string'
            AND pg_catalog.jsonb_typeof(event_data -> 'row_digest') = 'string'
            AND pg_catalog.jsonb_typeof(event_data -> 'is_terminal') = 'boolean'
            AND pg_catalog.jsonb_typeof(event_data -> 'replaces') = 'boolean'
            AND (
                coalesce(event_data -> 'recorded_at', 'null') = 'null'
                OR "{schema}".posting_field_instant(event_data -> 'recorded_at') IS NOT NULL
            )
            AND (
                coalesce(event_data -> 'current_conversation_id', 'null') = 'null'
                OR "{schema}".posting_field_int(event_data -> 'current_conversation_id') IS NOT NULL
            )
            AND pg_catalog.jsonb_typeof(event_data -> 'execution_sequence') = 'array'
            AND pg_catalog.jsonb_typeof(event_data -> 'outputs') = 'object'
        ) IS NOT TRUE THEN
            RETURN NULL;
        END IF;
        -- an array and an object by now: what is neither cannot be taken apart
        IF NOT EXISTS (
            SELECT
            FROM pg_catalog.jsonb_array_elements(event_data -> 'execution_sequence') c (id)
            WHERE "{schema}".posting_field_int(c.id) IS NULL
        ) AND NOT EXISTS (
            SELECT
            FROM pg_catalog.jsonb_object_keys(event_data -> 'outputs') o (id)
            -- as programs write it: without a sign before zero, and without zeros before it
            WHERE o.id !~ '^(0|-?[1-9][0-9]*)$'
                OR "{schema}".posting_note_int(pg_catalog.to_jsonb(o.id)) IS NULL
        ) THEN
            RETURN 'imported';
        END IF;
    END IF;
    RETURN NULL;
END;
$$;

-- The fingerprint of states that know claims. Kept states of before are used by nobody any more.
CREATE OR REPLACE FUNCTION "{schema}".posting_state_schema() RETURNS TEXT
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 'posting r3 [script_execution_completed v1, llm_call_completed v1, human_task_completed v1, script_execution_failed v1, llm_call_failed v1, human_task_failed v1, posting_terminal v1, circuit_breaker_open v1, posting_entered_run v1, branch_taken v1, path_ended v1, retry_scheduled v1, posting_state_imported v1, posting_moved_to_definition v1, human_task_claimed v1, human_task_released v1]';

DELETE FROM "{schema}".posting_state_snapshots s
WHERE s.schema IS DISTINCT FROM "{schema}".posting_state_schema();
