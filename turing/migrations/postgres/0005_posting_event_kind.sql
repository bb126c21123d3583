-- What an event does to a posting: completed, failed, terminal, entered, branched, ended, retried, or
-- other for nothing. Null if it cannot be read: the fold goes over it, and Turing's programs refuse the
-- posting.
CREATE FUNCTION "{schema}".posting_event_kind(event_type TEXT, event_data JSONB, metadata JSONB) RETURNS TEXT
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
    IF pg_catalog.jsonb_typeof(event_data) <> 'object'
        OR NOT "{schema}".posting_reads_version(metadata -> 'event_version')
    THEN
        RETURN NULL;
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

COMMENT ON FUNCTION "{schema}".posting_event_kind(TEXT, JSONB, JSONB) IS 'what an event does to a posting; null if it cannot be read';
