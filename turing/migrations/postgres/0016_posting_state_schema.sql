-- The fingerprint of the state that these functions make: what Turing's programs write beside a kept
-- state, and without which they do not use one.
CREATE FUNCTION "{schema}".posting_state_schema() RETURNS TEXT
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 'posting r2 [script_execution_completed v1, llm_call_completed v1, human_task_completed v1, script_execution_failed v1, llm_call_failed v1, human_task_failed v1, posting_terminal v1, circuit_breaker_open v1, posting_entered_run v1, branch_taken v1, path_ended v1, retry_scheduled v1]';

COMMENT ON FUNCTION "{schema}".posting_state_schema() IS 'the fingerprint of the states that posting_state_json makes';
