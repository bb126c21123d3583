-- Folds what is new into the rows of these postings, which the caller has locked. Each is written even
-- if nothing is new: see project_posting_events, whose settings it needs.
--
-- What grows with a posting moves out of its row as soon as it is long, so that an append writes no more
-- than a little of it. Whether anything is to be moved is looked at as the row is written: for most there
-- is nothing. What posting_states has marked as of no use any more goes before that.
CREATE OR REPLACE FUNCTION "{schema}".advance_posting_states(posting_ids INT[]) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    nothing CONSTANT JSONB := '{}';
    -- bytes, not compressed
    short CONSTANT INT := 1000;
    short_run CONSTANT INT := 1500;
    large CONSTANT INT := 200000000;
    state RECORD;
    kept RECORD;
    size INT;
BEGIN
    FOR state IN
        SELECT s.* FROM "{schema}".posting_states(posting_ids, NULL::int[], FALSE) s
    LOOP
        IF state.run ?| '{is_entered,is_replaced}' THEN
            DELETE FROM "{schema}".posting_state_values v
            WHERE v.posting_id = state.posting_id
                AND (v.part = 'run' OR v.part = 'outputs' AND state.run ? 'is_replaced');
            IF state.run ? 'is_replaced' THEN
                DELETE FROM "{schema}".posting_state_completions c
                WHERE c.posting_id = state.posting_id;
                UPDATE "{schema}".posting_state_rows p
                SET execution_sequence = NULL,
                    outputs = NULL,
                    moved_completions = 0,
                    moved_bytes = CASE
                        WHEN EXISTS (
                            SELECT
                            FROM "{schema}".posting_state_values v
                            WHERE v.posting_id = p.posting_id
                        ) THEN p.moved_bytes
                        ELSE 0
                    END
                WHERE p.posting_id = state.posting_id;
            END IF;
            state.run := nullif(state.run - '{is_entered,is_replaced}'::text[], nothing);
        END IF;

        -- sizes as of copies, by an empty path: what is stored may be compressed
        UPDATE "{schema}".posting_state_rows p
        SET current_conversation_id = state.current_conversation_id,
            execution_sequence = CASE
                WHEN state.execution_sequence IS NULL THEN coalesce(p.execution_sequence, '{}')
                ELSE p.execution_sequence || state.execution_sequence
            END,
            outputs = CASE
                WHEN state.outputs IS NULL THEN coalesce(p.outputs, nothing)
                ELSE coalesce(p.outputs, nothing) || state.outputs
            END,
            is_terminal = state.is_terminal,
            last_updated = state.last_updated,
            aggregate_version = state.aggregate_version,
            terminal = state.terminal,
            ended_runs = CASE
                WHEN state.ended_runs = nothing THEN coalesce(p.ended_runs, nothing)
                ELSE coalesce(p.ended_runs, nothing) || state.ended_runs
            END,
            run = state.run
        WHERE p.posting_id = state.posting_id
            AND coalesce(cardinality(p.execution_sequence), 0) + coalesce(cardinality(state.execution_sequence), 0) <= 128
            AND coalesce(pg_column_size(p.outputs #> '{}'), 0) + coalesce(pg_column_size(state.outputs), 0)
                + coalesce(pg_column_size(p.ended_runs #> '{}'), 0) + pg_column_size(state.ended_runs) <= short
            AND coalesce(pg_column_size(state.run), 0) <= short_run
            AND p.moved_bytes <= large;
        CONTINUE WHEN FOUND;

        SELECT
            CASE
                WHEN state.execution_sequence IS NULL THEN coalesce(p.execution_sequence, '{}')
                ELSE p.execution_sequence || state.execution_sequence
            END AS execution_sequence,
            CASE
                WHEN state.outputs IS NULL THEN coalesce(p.outputs, nothing)
                ELSE coalesce(p.outputs, nothing) || state.outputs
            END AS outputs,
            CASE
                WHEN state.ended_runs = nothing THEN coalesce(p.ended_runs, nothing)
                ELSE coalesce(p.ended_runs, nothing) || state.ended_runs
            END AS ended_runs,
            state.run AS run,
            p.moved_completions,
            p.moved_bytes
        INTO kept
        FROM "{schema}".posting_state_rows p
        WHERE p.posting_id = state.posting_id;

        IF cardinality(kept.execution_sequence) > 128 THEN
            INSERT INTO "{schema}".posting_state_completions (posting_id, first, conversation_ids)
            VALUES (state.posting_id, kept.moved_completions + 1, kept.execution_sequence);
            kept.moved_completions := kept.moved_completions + cardinality(kept.execution_sequence);
            kept.execution_sequence := '{}';
        END IF;

        size := pg_column_size(kept.outputs #> '{}') + pg_column_size(kept.ended_runs #> '{}');
        -- what is no object is no state, and somebody's own
        IF size > short
            AND jsonb_typeof(kept.outputs) = 'object'
            AND jsonb_typeof(kept.ended_runs) = 'object'
        THEN
            INSERT INTO "{schema}".posting_state_values AS v (posting_id, part, key, value)
            SELECT state.posting_id, 'outputs', o.key, o.value
            FROM jsonb_each(kept.outputs) o
            UNION ALL
            SELECT state.posting_id, 'ended_runs', r.key, r.value
            FROM jsonb_each(kept.ended_runs) r
            ON CONFLICT (posting_id, part, key) DO UPDATE SET value = excluded.value;
            kept.moved_bytes := kept.moved_bytes + size;
            kept.outputs := nothing;
            kept.ended_runs := nothing;
        END IF;

        size := pg_column_size(kept.run #> '{}');
        IF size > short_run
            AND jsonb_typeof(kept.run -> 'runs_by_conversation') = 'object'
            AND jsonb_typeof(kept.run -> 'iterations') = 'object'
            AND jsonb_typeof(kept.run -> 'completed') = 'array'
            AND NOT jsonb_path_exists(kept.run, '$.completed[*] ? (@.type() != "number")')
        THEN
            INSERT INTO "{schema}".posting_state_values AS v (posting_id, part, key, value)
            SELECT state.posting_id, 'run', m.key, jsonb_object_agg(m.name, m.value)
            FROM (
                SELECT r.key, 'runs' AS name, r.value
                FROM jsonb_each(kept.run -> 'runs_by_conversation') r
                UNION ALL
                SELECT i.key, 'iterations', i.value
                FROM jsonb_each(kept.run -> 'iterations') i
                UNION ALL
                SELECT c.id #>> '{}', f.name, f.value
                FROM jsonb_array_elements(kept.run -> 'completed') WITH ORDINALITY c (id, place)
                CROSS JOIN LATERAL (
                    -- there are no more completions than events, so these stand behind those that moved before
                    VALUES (
                        'completed',
                        to_jsonb(state.aggregate_version + c.place - jsonb_array_length(kept.run -> 'completed'))
                    ), ('id', c.id)
                ) f (name, value)
            ) m
            GROUP BY m.key
            ON CONFLICT (posting_id, part, key) DO UPDATE SET value = v.value || excluded.value;
            kept.moved_bytes := kept.moved_bytes + size;
            kept.run := kept.run || '{"completed": [], "runs_by_conversation": {}, "iterations": {}}';
        END IF;

        UPDATE "{schema}".posting_state_rows p
        SET current_conversation_id = state.current_conversation_id,
            execution_sequence = kept.execution_sequence,
            outputs = kept.outputs,
            is_terminal = state.is_terminal,
            last_updated = state.last_updated,
            aggregate_version = state.aggregate_version,
            terminal = state.terminal,
            ended_runs = kept.ended_runs,
            run = kept.run,
            moved_completions = kept.moved_completions,
            moved_bytes = kept.moved_bytes
        WHERE p.posting_id = state.posting_id;

        -- older values of a key count until here: what is there now, which fails where it is too large
        IF kept.moved_bytes > large THEN
            SELECT
                pg_column_size(v.outputs)::bigint + pg_column_size(v.ended_runs) + coalesce(pg_column_size(v.run), 0)
            INTO kept.moved_bytes
            FROM "{schema}".posting_state_projection v
            WHERE v.posting_id = state.posting_id;
            UPDATE "{schema}".posting_state_rows p
            SET moved_bytes = kept.moved_bytes
            WHERE p.posting_id = state.posting_id;
        END IF;
    END LOOP;
END;
$$;

COMMENT ON COLUMN "{schema}".posting_state_projection.is_terminal IS 'true from posting_terminal until the next run is entered, or as an imported state says';
