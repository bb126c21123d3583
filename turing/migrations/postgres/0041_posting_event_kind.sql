-- True if an object in a document has a key that the programs' own reader of JSON, serde_json, would take
-- for its mark. In the text of the database the quote that begins a string stands behind a bracket or a
-- space, and one within a string behind a backslash.
CREATE FUNCTION "{schema}".posting_has_reserved_key(document JSONB) RETURNS BOOLEAN
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(
    document::text LIKE '%"$serde_json::private::%'
    AND document::text ~ '[{ ]"[$]serde_json::private::(RawValue|Number)":',
    FALSE
);

REVOKE ALL ON FUNCTION "{schema}".posting_has_reserved_key(JSONB) FROM PUBLIC;

-- What an event does to a posting, as before. It cannot be read either where its data, or a field of the
-- metadata that its type has, has a reserved key: programs read no such event.
CREATE OR REPLACE FUNCTION "{schema}".posting_event_kind(event_type TEXT, event_data JSONB, metadata JSONB) RETURNS TEXT
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
    IF pg_catalog.jsonb_typeof(event_data) <> 'object'
        OR NOT "{schema}".posting_reads_version(metadata -> 'event_version')
        OR "{schema}".posting_has_reserved_key(event_data)
        OR "{schema}".posting_has_reserved_key(
            CASE
                WHEN NOT "{schema}".posting_has_reserved_key(metadata) THEN NULL
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
            END
        )
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
