-- Folds what is new into the rows of these postings, which the caller has locked. Each is written even
-- if nothing is new: see project_posting_events, whose settings it needs.
--
-- What grows with a posting moves out of its row as soon as it is long, so that an append writes no more
-- than a little of it. Whether anything is to be moved is looked at as the row is written: for most there
-- is nothing.
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
            AND (p.moved_bytes = 0 OR NOT coalesce(state.run ? 'is_entered', FALSE))
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

        IF kept.run ? 'is_entered' THEN
            DELETE FROM "{schema}".posting_state_values v
            WHERE v.posting_id = state.posting_id
                AND v.part = 'run';
            kept.run := kept.run - 'is_entered';
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

-- As before, but the row of a single posting is locked as it is looked at, if it is there.
CREATE OR REPLACE FUNCTION "{schema}".project_posting_events() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
DECLARE
    touched INT[];
    are_new BOOLEAN;
    are_several BOOLEAN;
    are_there BOOLEAN;
    stranger INT;
    harmless INT[];
    suspicious INT[];
    ahead INT[];
    one INT;
BEGIN
    IF TG_RELID <> '"{schema}"."{events}"'::regclass THEN
        RAISE EXCEPTION 'project_posting_events() is the trigger of the table of events, and of no other'
            USING ERRCODE = 'insufficient_privilege';
    END IF;

    SELECT bool_or(a.aggregate_version = 1), min(a.aggregate_id) <> max(a.aggregate_id) INTO are_new, are_several
    FROM added a
    WHERE a.aggregate_type = 'posting';
    IF are_new IS NULL THEN
        RETURN NULL;
    END IF;

    -- rows are locked in the order of their ids, and made where there are none: for new postings, and where
    -- somebody has deleted them; of several postings at once, so that none is made behind one that is locked
    FOR attempt IN 1 .. 2 LOOP
        IF are_new OR are_several OR attempt = 2 THEN
            SELECT array_agg(DISTINCT a.aggregate_id ORDER BY a.aggregate_id) INTO touched
            FROM added a
            WHERE a.aggregate_type = 'posting';
        END IF;
        IF are_new THEN
            SELECT t.posting_id INTO stranger
            FROM unnest(touched) t (posting_id)
            WHERE NOT EXISTS (SELECT FROM "{schema}".postings p WHERE p.posting_id = t.posting_id)
            LIMIT 1;
            IF FOUND AND row_security_active('"{schema}".postings') THEN
                RAISE EXCEPTION 'row security on "{schema}".postings may hide posting %', stranger
                    USING ERRCODE = 'insufficient_privilege',
                        HINT = format(
                            'ALTER TABLE "{schema}".postings DISABLE ROW LEVEL SECURITY, or give %I a policy that shows all rows',
                            current_user
                        );
            ELSIF FOUND THEN
                RAISE EXCEPTION 'posting % is not registered, so it can have no events', stranger
                    USING ERRCODE = 'foreign_key_violation',
                        HINT = format('INSERT INTO "{schema}".postings (posting_id) VALUES (%s)', stranger),
                        SCHEMA = '{schema}',
                        TABLE = '{events}',
                        COLUMN = 'aggregate_id';
            END IF;
        END IF;
        IF touched IS NOT NULL THEN
            INSERT INTO "{schema}".posting_state_rows AS p (posting_id)
            SELECT t.posting_id
            FROM unnest(touched) t (posting_id)
            ON CONFLICT (posting_id) DO UPDATE SET aggregate_version = p.aggregate_version WHERE FALSE;
        END IF;
        -- what has moved out of a row counts as it is, what is in it as if the database had compressed it as
        -- well as it can
        SELECT
            count(*) = count(j.posting_id),
            array_agg(j.posting_id) FILTER (WHERE NOT j.may_fail),
            array_agg(j.posting_id) FILTER (WHERE j.may_fail),
            array_agg(j.posting_id) FILTER (WHERE j.is_ahead)
        INTO are_there, harmless, suspicious, ahead
        FROM (
            SELECT
                p.posting_id,
                p.aggregate_version >= a.version AS is_ahead,
                coalesce(p.aggregate_version, 0) <> a.version - 1
                OR p.moved_bytes + 255 * (a.bytes + p.bytes) > 255000000 AS may_fail
            FROM (
                SELECT a.aggregate_id, min(a.aggregate_version) AS version, sum(pg_column_size(a.event_data)) AS bytes
                FROM added a
                WHERE a.aggregate_type = 'posting'
                GROUP BY a.aggregate_id
                ORDER BY a.aggregate_id
            ) a
            LEFT JOIN LATERAL (
                SELECT
                    p.posting_id, p.aggregate_version, p.moved_bytes,
                    coalesce(pg_column_size(p.outputs), 0)
                    + coalesce(pg_column_size(p.ended_runs), 0)
                    + coalesce(pg_column_size(p.run), 0) AS bytes
                FROM "{schema}".posting_state_rows p
                WHERE p.posting_id = a.aggregate_id
                FOR NO KEY UPDATE
            ) p ON TRUE
        ) j;
        EXIT WHEN are_there;
    END LOOP;
    IF harmless IS NOT NULL THEN
        PERFORM "{schema}".advance_posting_states(harmless);
    END IF;
    IF suspicious IS NULL THEN
        RETURN NULL;
    END IF;

    FOREACH one IN ARRAY suspicious LOOP
        BEGIN
            IF one = ANY (ahead) THEN
                PERFORM "{schema}".fold_posting_states(ARRAY[one]);
            ELSE
                PERFORM "{schema}".advance_posting_states(ARRAY[one]);
            END IF;
        EXCEPTION
            WHEN program_limit_exceeded OR statement_too_complex THEN
                RAISE WARNING 'the state of posting % is too large for posting_state_projection, and stays as it was: %',
                    one, SQLERRM;
                UPDATE "{schema}".posting_state_rows p
                SET aggregate_version = p.aggregate_version
                WHERE p.posting_id = one;
        END;
    END LOOP;
    RETURN NULL;
END;
$$;
