-- The fingerprint of states that have every digit. Kept states of before may have numbers that programs
-- rounded: nobody uses them any more.
CREATE OR REPLACE FUNCTION "{schema}".posting_state_schema() RETURNS TEXT
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 'posting r3 [script_execution_completed v1, llm_call_completed v1, human_task_completed v1, script_execution_failed v1, llm_call_failed v1, human_task_failed v1, posting_terminal v1, circuit_breaker_open v1, posting_entered_run v1, branch_taken v1, path_ended v1, retry_scheduled v1]';

DELETE FROM "{schema}".posting_state_snapshots s
WHERE s.schema IS DISTINCT FROM "{schema}".posting_state_schema();

-- Texts of JSON, whose keys stood in another order before. What is too large for the database stays as
-- it is, and validate_event_store tells of it.
DO $$
DECLARE
    one INT;
BEGIN
    FOR one IN
        SELECT p.posting_id
        FROM "{schema}".posting_state_projection p
        WHERE concat(p.terminal, p.ended_runs, p.run) ~ '"(reason|failed)": "[[{]'
        ORDER BY p.posting_id
    LOOP
        BEGIN
            PERFORM "{schema}".rebuild_posting_state(one);
        EXCEPTION
            WHEN program_limit_exceeded OR statement_too_complex THEN NULL;
        END;
    END LOOP;
END;
$$;
