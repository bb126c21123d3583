-- A row of posting_state_projection as Turing's programs write the state of a posting, and read it.
CREATE FUNCTION "{schema}".posting_state_json(state "{schema}".posting_state_projection) RETURNS JSONB
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_build_object(
    'current_conversation_id', (state).current_conversation_id,
    'execution_sequence', coalesce((state).execution_sequence, '{}'),
    'outputs', coalesce((state).outputs, '{}'),
    'is_terminal', coalesce((state).is_terminal, FALSE),
    'terminal', (state).terminal,
    'ended_runs', coalesce((state).ended_runs, '{}'),
    'run', (state).run
);

COMMENT ON FUNCTION "{schema}".posting_state_json("{schema}".posting_state_projection) IS 'the state of a posting as Turing''s programs write and read it';
