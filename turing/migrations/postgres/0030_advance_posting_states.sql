-- Folds what is new into the rows of these postings, which the caller has locked. Each is written even
-- if nothing is new: see project_posting_events, whose settings it needs.
--
-- As before, with the types of all arguments: an untyped one lets a function of the same name be meant that
-- somebody else has made in this schema.
CREATE OR REPLACE FUNCTION "{schema}".advance_posting_states(posting_ids INT[]) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE "{schema}".posting_state_projection p
    SET current_conversation_id = s.current_conversation_id,
        execution_sequence = CASE
            WHEN p.execution_sequence IS NULL THEN coalesce(s.execution_sequence, '{}')
            WHEN s.execution_sequence IS NULL THEN p.execution_sequence
            ELSE p.execution_sequence || s.execution_sequence
        END,
        outputs = CASE
            WHEN p.outputs IS NULL THEN coalesce(s.outputs, '{}')
            WHEN s.outputs IS NULL THEN p.outputs
            ELSE p.outputs || s.outputs
        END,
        is_terminal = s.is_terminal,
        last_updated = s.last_updated,
        aggregate_version = s.aggregate_version,
        terminal = s.terminal,
        ended_runs = s.ended_runs,
        run = s.run
    FROM "{schema}".posting_states(posting_ids, NULL::int[], FALSE) s
    WHERE p.posting_id = s.posting_id;
END;
$$;
