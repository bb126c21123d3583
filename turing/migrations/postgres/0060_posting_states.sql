-- The one fold of postings' events in SQL; turing_domain::Posting is the other, and its test. As before,
-- and another system's state that was taken over is folded, too.
--
-- Arguments, as arrays of one length:
--   posting_ids  the postings
--   up_to        for each the last version to be folded, null for all; null altogether: all
--   anew         true: from the first event; false: from where posting_state_rows stands
-- Answers one row for each, numbered from 1 in their order. execution_sequence, outputs and ended_runs are
-- what has to be added to those of the row from which it began; the first two are null if that is nothing.
-- run replaces that of the row, and may have marks, also where there is no run: what has moved of the one
-- before is of no use any more where it has the key `is_entered`, and nothing of the row but its ended_runs
-- where it has the key `is_replaced`. Folded anew, it has none.
--
-- Folded anew, the same posting again, up to a later version, goes on from the one before.
--
-- Only versions without a gap are folded: what stands behind a version that is missing, perhaps
-- because its transaction is open still, waits for it.
--
-- Each event is read once, in order. What is done for it grows with the number of conversations in what
-- the row has of the run, and not with the number of events: sequences and outputs are collected and put
-- together once.
CREATE OR REPLACE FUNCTION "{schema}".posting_states(posting_ids INT[], up_to INT[], anew BOOLEAN)
RETURNS TABLE (
    number BIGINT,
    posting_id INT,
    current_conversation_id INT,
    execution_sequence INT[],
    outputs JSONB,
    is_terminal BOOLEAN,
    last_updated TIMESTAMPTZ,
    aggregate_version INT,
    terminal JSONB,
    ended_runs JSONB,
    run JSONB
)
LANGUAGE plpgsql STABLE
AS $$
#variable_conflict use_column
DECLARE
    nothing CONSTANT JSONB := '{}';
    event RECORD;
    kind TEXT;
    -- what the event says
    conversation TEXT;
    seen INT;
    event_run UUID;
    output JSONB;
    has_output BOOLEAN;
    reason TEXT;
    -- the conversations that have an output, and of which events
    output_of INT[];
    output_at INT[];
    has_imported BOOLEAN;
    marks JSONB;
    -- the run, in parts
    is_moved BOOLEAN;
    has_parts BOOLEAN;
    part RECORD;
    run_id UUID;
    open JSONB;
    finished JSONB;
    completed INT[];
    conversation_runs BIGINT;
    runs JSONB;
    iterations JSONB;
    ended_paths JSONB;
BEGIN
    FOR item IN 1 .. coalesce(cardinality(posting_ids), 0) LOOP
        number := item;
        posting_id := posting_ids[item];
        IF NOT anew OR item = 1 OR posting_id <> posting_ids[item - 1] THEN
            -- one statement costs less than a dozen assignments
            IF NOT anew THEN
                SELECT
                    p.current_conversation_id, coalesce(p.is_terminal, FALSE), p.last_updated,
                    coalesce(p.aggregate_version, 0), p.terminal, nothing, p.moved_bytes > 0, p.run,
                    "{schema}".posting_note_uuid(p.run -> 'run_id'),
                    coalesce(p.run -> 'open', nothing), p.run -> 'finished',
                    "{schema}".posting_field_count(p.run -> 'conversation_runs'),
                    p.run -> 'runs_by_conversation', p.run -> 'iterations', p.run -> 'ended_paths',
                    NULL::int[], NULL::jsonb, '{}'::int[], '{}'::int[], '{}'::int[], FALSE, FALSE, NULL::jsonb
                INTO
                    current_conversation_id, is_terminal, last_updated,
                    aggregate_version, terminal, ended_runs, has_parts, run,
                    run_id, open, finished, conversation_runs, runs, iterations, ended_paths,
                    execution_sequence, outputs, output_of, output_at, completed, is_moved, has_imported, marks
                FROM "{schema}".posting_state_rows p
                WHERE p.posting_id = posting_states.posting_id;
            END IF;
            IF anew OR NOT FOUND THEN
                SELECT
                    NULL::int, FALSE, NULL::timestamptz,
                    0, NULL::jsonb, nothing, FALSE, NULL::jsonb,
                    NULL::uuid, nothing, NULL::jsonb, NULL::bigint, NULL::jsonb, NULL::jsonb, NULL::jsonb,
                    NULL::int[], NULL::jsonb, '{}'::int[], '{}'::int[], '{}'::int[], FALSE, FALSE, NULL::jsonb
                INTO
                    current_conversation_id, is_terminal, last_updated,
                    aggregate_version, terminal, ended_runs, has_parts, run,
                    run_id, open, finished, conversation_runs, runs, iterations, ended_paths,
                    execution_sequence, outputs, output_of, output_at, completed, is_moved, has_imported, marks;
            END IF;
        END IF;

        FOR event IN
            SELECT e.aggregate_version, e.created_at, e.event_type, e.event_data, e.metadata
            FROM "{schema}"."{events}" e
            WHERE e.aggregate_type = 'posting'
                AND e.aggregate_id = posting_states.posting_id
                AND e.aggregate_version > posting_states.aggregate_version
                AND e.aggregate_version <= coalesce(up_to[item], 2147483647)
            ORDER BY e.aggregate_version
        LOOP
            EXIT WHEN event.aggregate_version <> aggregate_version + 1;
            aggregate_version := event.aggregate_version;
            last_updated := event.created_at;
            kind := "{schema}".posting_event_kind(event.event_type, event.event_data, event.metadata);
            CONTINUE WHEN kind IS NULL OR kind = 'other';
            seen := NULL;

            IF kind = 'entered' OR kind = 'imported' THEN
                IF has_parts THEN
                    -- where nothing of a run has moved, who writes the row need not know of the key
                    IF EXISTS (
                        SELECT
                        FROM "{schema}".posting_state_values v
                        WHERE v.posting_id = posting_states.posting_id
                            AND v.part = 'run'
                    ) THEN
                        marks := coalesce(marks, nothing) || '{"is_entered": true}';
                    END IF;
                    has_parts := FALSE;
                END IF;
                completed := '{}';
                finished := nothing;
                IF kind = 'entered' THEN
                    is_terminal := FALSE;
                    terminal := NULL;
                    is_moved := TRUE;
                    run_id := "{schema}".posting_note_uuid(event.event_data -> 'run_id');
                    conversation := event.event_data ->> 'entry_conversation_id';
                    run := jsonb_build_object(
                        'run_id', run_id,
                        'workflow_id', event.event_data -> 'workflow_id',
                        'completed', jsonb_build_array()
                    );
                    open := jsonb_build_object(
                        conversation, jsonb_build_object('execution', 1, 'retries', 0, 'due_at', NULL)
                    );
                    conversation_runs := 1;
                    runs := jsonb_build_object(conversation, 1);
                    iterations := nothing;
                    ended_paths := nothing;
                    CONTINUE;
                END IF;

                IF event.event_data -> 'replaces' = 'true' THEN
                    execution_sequence := NULL;
                    outputs := NULL;
                    output_of := '{}';
                    output_at := '{}';
                    marks := CASE WHEN NOT anew THEN '{"is_replaced": true}'::jsonb END;
                END IF;
                execution_sequence := nullif(
                    execution_sequence || ARRAY(
                        SELECT c.id::int
                        FROM jsonb_array_elements_text(event.event_data -> 'execution_sequence')
                            WITH ORDINALITY c (id, place)
                        ORDER BY c.place
                    ),
                    '{}'
                );
                SELECT output_of || array_agg(o.key::int), output_at || array_agg(event.aggregate_version)
                INTO output_of, output_at
                FROM jsonb_each(event.event_data -> 'outputs') o
                WHERE o.value <> 'null';
                has_imported := TRUE;
                has_output := FALSE;
                current_conversation_id := "{schema}".posting_field_int(event.event_data -> 'current_conversation_id');
                is_terminal := event.event_data -> 'is_terminal' = 'true';
                terminal := CASE
                    WHEN is_terminal THEN coalesce(
                        terminal,
                        jsonb_build_object('reason', NULL, 'final_conversation_id', current_conversation_id)
                    )
                END;
                -- who wrote that state took the posting out of its run
                is_moved := FALSE;
                run := NULL;
                run_id := NULL;
                open := nothing;
                CONTINUE;
            END IF;

            IF event.metadata -> 'run_id' = run -> 'run_id' THEN
                event_run := run_id;
            ELSE
                event_run := "{schema}".posting_note_uuid(event.metadata -> 'run_id');
            END IF;
            IF kind = 'terminal' THEN
                seen := "{schema}".posting_note_int(event.event_data -> 'final_conversation_id');
                is_terminal := TRUE;
                terminal := jsonb_build_object(
                    'reason', "{schema}".posting_note_text(event.event_data -> 'reason'),
                    'final_conversation_id', seen
                );
                IF coalesce(event_run, run_id) IS NOT NULL THEN
                    ended_runs := ended_runs || jsonb_build_object(coalesce(event_run, run_id), terminal);
                END IF;
                IF open <> nothing THEN
                    current_conversation_id := "{schema}".posting_lowest_key(open);
                END IF;
                IF run_id IS NOT NULL THEN
                    is_moved := TRUE;
                    open := nothing;
                    finished := nothing;
                END IF;
                current_conversation_id := coalesce(seen, current_conversation_id);
                CONTINUE;
            END IF;

            conversation := "{schema}".posting_note_int(event.metadata -> 'conversation_id');
            CONTINUE WHEN conversation IS NULL;
            has_output := FALSE;
            IF kind IN ('completed', 'failed') THEN
                seen := conversation;
            END IF;
            IF kind = 'completed' THEN
                execution_sequence := array_append(execution_sequence, seen);
                output := event.event_data -> 'output';
                has_output := coalesce(jsonb_typeof(output) <> 'null', FALSE);
                IF has_output THEN
                    output_of := array_append(output_of, seen);
                    output_at := array_append(output_at, aggregate_version);
                END IF;
            END IF;

            IF run_id IS NOT NULL AND NOT is_terminal AND (event_run IS NULL OR event_run = run_id) THEN
                is_moved := TRUE;
                IF has_parts AND kind IN ('branched', 'retried') THEN
                    SELECT
                        jsonb_object_agg(v.key, v.value -> 'runs') FILTER (WHERE v.value ? 'runs') AS runs,
                        jsonb_object_agg(v.key, v.value -> 'iterations') FILTER (WHERE v.value ? 'iterations') AS iterations
                    INTO part
                    FROM "{schema}".posting_state_values v
                    WHERE v.posting_id = posting_states.posting_id
                        AND v.part = 'run'
                        AND v.key IN (conversation, event.event_data ->> 'to');
                    runs := coalesce(part.runs, nothing) || runs;
                    iterations := coalesce(part.iterations, nothing) || iterations;
                END IF;
                IF has_output THEN
                    completed := array_append(completed, seen);
                END IF;
                IF seen IS NOT NULL THEN
                    IF open ? conversation THEN
                        finished := finished || jsonb_build_object(conversation, jsonb_build_object(
                            'execution', open -> conversation -> 'execution',
                            'retries', open -> conversation -> 'retries',
                            'outcome', CASE kind
                                WHEN 'completed' THEN '"completed"'
                                ELSE jsonb_build_object('failed', coalesce(
                                    "{schema}".posting_note_text(event.event_data -> 'failure_type'), 'unknown'
                                ))
                            END
                        ));
                        open := open - conversation;
                    END IF;
                ELSIF kind = 'retried' THEN
                    IF NOT open ? conversation THEN
                        open := open || jsonb_build_object(conversation, jsonb_build_object(
                            'execution', coalesce(
                                finished -> conversation -> 'execution', runs -> conversation, to_jsonb(0)
                            ),
                            'retries', event.event_data -> 'attempt',
                            'due_at', "{schema}".posting_field_instant(event.event_data -> 'due_at')
                        ));
                    END IF;
                    finished := finished - conversation;
                ELSE
                    finished := finished - conversation;
                    reason := event.event_data ->> 'reason';
                    IF kind = 'branched' THEN
                        iterations := iterations || jsonb_build_object(
                            conversation,
                            coalesce(iterations -> conversation, nothing) || jsonb_build_object(
                                event.event_data ->> 'rule',
                                coalesce((iterations -> conversation ->> (event.event_data ->> 'rule'))::bigint, 0) + 1
                            )
                        );
                        reason := 'completed';
                        conversation := event.event_data ->> 'to';
                        IF conversation IS NOT NULL THEN
                            reason := NULL;
                            IF NOT open ? conversation THEN
                                conversation_runs := conversation_runs + 1;
                                runs := runs || jsonb_build_object(
                                    conversation, coalesce((runs ->> conversation)::bigint, 0) + 1
                                );
                                open := open || jsonb_build_object(
                                    conversation,
                                    jsonb_build_object(
                                        'execution', runs -> conversation, 'retries', 0, 'due_at', NULL
                                    )
                                );
                            END IF;
                        END IF;
                    END IF;
                    IF reason IS NOT NULL THEN
                        ended_paths := ended_paths || jsonb_build_object(
                            reason, coalesce((ended_paths ->> reason)::bigint, 0) + 1
                        );
                    END IF;
                END IF;
            END IF;

            -- while something is open, the lowest open conversation is the current one: see below
            IF seen IS NOT NULL AND open = nothing THEN
                current_conversation_id := seen;
            END IF;
        END LOOP;

        IF open <> nothing THEN
            current_conversation_id := "{schema}".posting_lowest_key(open);
        END IF;
        IF cardinality(output_of) = 1 AND has_output THEN
            outputs := jsonb_build_object(output_of[1], output);
        ELSIF has_imported THEN
            outputs := (
                SELECT jsonb_object_agg(o.key, o.value)
                FROM (
                    SELECT
                        l.version,
                        min(l.conversation_id) AS conversation_id,
                        jsonb_object_agg(l.conversation_id, NULL) AS ids
                    FROM (
                        SELECT o.conversation_id, max(o.version) AS version
                        FROM unnest(output_of, output_at) o (conversation_id, version)
                        GROUP BY o.conversation_id
                    ) l
                    GROUP BY l.version
                ) l
                CROSS JOIN LATERAL (
                    SELECT e.event_type, e.event_data
                    FROM "{schema}"."{events}" e
                    WHERE e.aggregate_type = 'posting'
                        AND e.aggregate_id = posting_states.posting_id
                        AND e.aggregate_version = l.version
                    OFFSET 0
                ) e
                CROSS JOIN LATERAL jsonb_each(
                    CASE e.event_type
                        WHEN 'posting_state_imported' THEN e.event_data -> 'outputs'
                        -- of one conversation alone
                        ELSE jsonb_build_object(l.conversation_id, e.event_data -> 'output')
                    END
                ) o
                WHERE l.ids ? o.key
            );
        ELSIF output_of <> '{}' THEN
            outputs := (
                SELECT jsonb_object_agg(l.conversation_id, e.output)
                FROM (
                    SELECT o.conversation_id, max(o.version) AS version
                    FROM unnest(output_of, output_at) o (conversation_id, version)
                    GROUP BY o.conversation_id
                ) l
                CROSS JOIN LATERAL (
                    SELECT e.event_data -> 'output' AS output
                    FROM "{schema}"."{events}" e
                    WHERE e.aggregate_type = 'posting'
                        AND e.aggregate_id = posting_states.posting_id
                        AND e.aggregate_version = l.version
                    OFFSET 0
                ) e
            );
        END IF;
        IF is_moved THEN
            run := run || jsonb_build_object(
                'open', open,
                'finished', finished,
                'completed', "{schema}".posting_latest_last(run -> 'completed', completed),
                'conversation_runs', conversation_runs,
                'runs_by_conversation', runs,
                'iterations', iterations,
                'ended_paths', ended_paths
            );
            completed := '{}';
        END IF;
        IF marks IS NOT NULL THEN
            run := coalesce(run, nothing) || marks;
        END IF;
        RETURN NEXT;
    END LOOP;
END;
$$;
