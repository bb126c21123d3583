-- As before, and the way through a run is put together as well: what has moved of it is of the
-- conversations, one value for each. What the row itself has of one is newer, and behind the others in
-- the order of completions.
CREATE OR REPLACE VIEW "{schema}".posting_state_projection AS
SELECT
    p.posting_id,
    p.current_conversation_id,
    CASE
        WHEN p.moved_completions = 0 THEN p.execution_sequence
        ELSE ARRAY(
            SELECT pg_catalog.unnest(c.conversation_ids)
            FROM "{schema}".posting_state_completions c
            WHERE c.posting_id = p.posting_id
            ORDER BY c.first
        ) || p.execution_sequence
    END AS execution_sequence,
    CASE
        WHEN p.moved_bytes = 0 THEN p.outputs
        ELSE coalesce((
            SELECT pg_catalog.jsonb_object_agg(v.key, v.value)
            FROM "{schema}".posting_state_values v
            WHERE v.posting_id = p.posting_id
                AND v.part = 'outputs'
        ), '{}'::jsonb) || p.outputs
    END AS outputs,
    p.is_terminal,
    p.last_updated,
    p.aggregate_version,
    p.terminal,
    CASE
        WHEN p.moved_bytes = 0 THEN p.ended_runs
        ELSE coalesce((
            SELECT pg_catalog.jsonb_object_agg(v.key, v.value)
            FROM "{schema}".posting_state_values v
            WHERE v.posting_id = p.posting_id
                AND v.part = 'ended_runs'
        ), '{}'::jsonb) || p.ended_runs
    END AS ended_runs,
    CASE
        WHEN p.moved_bytes = 0 THEN p.run
        ELSE coalesce((
            SELECT p.run || pg_catalog.jsonb_build_object(
                'completed',
                coalesce(
                    pg_catalog.jsonb_agg(v.value -> 'id' ORDER BY (v.value ->> 'completed')::bigint)
                        FILTER (WHERE v.value ? 'completed' AND NOT p.run -> 'completed' @> (v.value -> 'id')),
                    '[]'::jsonb
                ) || (p.run -> 'completed'),
                'runs_by_conversation',
                coalesce(
                    pg_catalog.jsonb_object_agg(v.key, v.value -> 'runs') FILTER (WHERE v.value ? 'runs'),
                    '{}'::jsonb
                ) || (p.run -> 'runs_by_conversation'),
                'iterations',
                coalesce(
                    pg_catalog.jsonb_object_agg(v.key, v.value -> 'iterations') FILTER (WHERE v.value ? 'iterations'),
                    '{}'::jsonb
                ) || (p.run -> 'iterations')
            )
            FROM "{schema}".posting_state_values v
            WHERE v.posting_id = p.posting_id
                AND v.part = 'run'
            HAVING count(*) > 0
        ), p.run)
    END AS run
FROM "{schema}".posting_state_rows p;

COMMENT ON TABLE "{schema}".posting_state_values IS 'keys of outputs and ended_runs, and conversations of the run; what the row itself has of one is newer; read posting_state_projection';
COMMENT ON COLUMN "{schema}".posting_state_values.part IS 'outputs, ended_runs or run';
