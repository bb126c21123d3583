-- # what_was_accepted_stays_so_until_it_changes

CREATE TABLE old_states (posting INT PRIMARY KEY, step TEXT);
INSERT INTO old_states VALUES (1, 'x');
INSERT INTO postings (posting_id) VALUES (1);
INSERT INTO cutovers (phase, mapping) VALUES (1, '{"schema": "public", "table": "old_states", "posting_id": "posting", "current": "step"}')

-- do create

SELECT cutover_resolve(1, NULL, 'accepted', ' ')
-- ! 22023 a discrepancy is accepted for a reason

SELECT cutover_resolve(1, NULL, 'forgotten', 'why')
-- ! 22023 say from-old, from-events or accepted

SELECT cutover_resolve(1, NULL, 'accepted', 'nobody reads it')
-- = 1

-- do validate

SELECT count(*) FROM cutover_open_discrepancies
-- = 0

UPDATE old_states SET step = 'y'

-- do validate

SELECT d.new || '; ' || coalesce(d.reason, 'open') FROM cutover_discrepancies d ORDER BY d.discrepancy_id
-- = step: "x" is neither a step nor the id of a conversation; nobody reads it
-- = step: "y" is neither a step nor the id of a conversation; open

-- # what_was_accepted_and_is_over_is_found_again

CREATE TABLE old_states (posting INT PRIMARY KEY, finished BOOLEAN);
INSERT INTO old_states VALUES (1, TRUE);
INSERT INTO postings (posting_id) VALUES (1);
SELECT append_event('llm_call_completed', 1, '{"output": "x"}', '{"conversation_id": 10}');
INSERT INTO cutovers (phase, mapping) VALUES (1, '{"schema": "public", "table": "old_states", "posting_id": "posting", "terminal": "finished"}')

-- do create

SELECT cutover_resolve(1, NULL, 'accepted', 'an old error')
-- = 1

-- do validate

SELECT count(*) FROM cutover_open_discrepancies
-- = 0

UPDATE old_states SET finished = FALSE

-- do validate

UPDATE old_states SET finished = TRUE

-- do validate

SELECT concat_ws(' ', d.kind, d.resolution, d.reason) FROM cutover_discrepancies d ORDER BY d.discrepancy_id
-- = terminal_differs agrees an old error
-- = terminal_differs

-- # a_discrepancy_is_resolved_from_the_side_that_is_named

CREATE TABLE old_states (posting INT PRIMARY KEY, step INT, done INT);
INSERT INTO old_states VALUES (1, 20, 1), (2, 20, 1), (3, 20, 9);
INSERT INTO postings (posting_id) VALUES (1), (2), (3);
SELECT append_event('llm_call_completed', n, '{"output": "x"}', '{"conversation_id": 10}') FROM generate_series(1, 3) n;
INSERT INTO cutovers (phase, mapping) VALUES (1, '{
    "schema": "public", "table": "old_states", "posting_id": "posting", "current": "step", "counter": "done"
}')

-- do create

SELECT cutover_resolve(1, 'current_differs', 'from-old', NULL)
-- = 1

SELECT cutover_resolve(2, NULL, 'from-events', NULL)
-- = 1

SELECT cutover_resolve(3, 'current_differs', 'from-old', NULL)
-- = 1

SELECT cutover_resolve(3, NULL, 'from-old', NULL)
-- = 0

SELECT format('%s %s %s', d.posting_id, d.kind, coalesce(d.resolution, 'open')) FROM cutover_discrepancies d ORDER BY d.posting_id, d.kind COLLATE "C"
-- = 1 current_differs from-old
-- = 2 current_differs from-events
-- = 3 counter_differs open
-- = 3 current_differs from-old

SELECT cutover_resolve(NULL, NULL, 'from-events', NULL)
-- = 1

SELECT format('%s %s %s %s', b.posting, b.step, b.done, p.current_conversation_id)
FROM old_states b JOIN posting_state_projection p ON p.posting_id = b.posting ORDER BY b.posting
-- = 1 20 1 20
-- = 2 10 1 10
-- = 3 20 1 20

-- # no_old_row_is_emptied_because_the_events_say_nothing

CREATE TABLE old_states (posting INT PRIMARY KEY, step TEXT, results JSONB, done INT NOT NULL);
INSERT INTO old_states VALUES
    (1, 'polish', '{"10": "keep me"}', 0), (2, '20', '{}', 0), (3, '20', '{}', 0), (4, NULL, '{"10": "keep me"}', 0),
    (5, '20', '{}', 9);
INSERT INTO postings (posting_id) VALUES (1), (2), (4), (5);
DO $$ BEGIN
    PERFORM append_event('llm_call_failed', 4, '{"error": "x"}');
    PERFORM append_event('llm_call_completed', 5, '{"output": "x"}', '{"conversation_id": 10}');
END $$;
INSERT INTO cutovers (phase, mapping) VALUES (1, '{
    "schema": "public", "table": "old_states", "posting_id": "posting", "current": "step", "outputs": "results", "counter": "done"
}')

-- do create

SELECT cutover_resolve(1, NULL, 'from-events', NULL)
-- ! ES012 would empty its old row (row_unreadable)

SELECT cutover_resolve(1, 'row_unreadable', 'from-events', NULL)
-- ! ES012 correct the row in public.old_states

SELECT cutover_resolve(1, 'row_unreadable', 'from-events', NULL)
-- ! ES012 turing cutover validate --resolve accept --posting 1 --reason TEXT

SELECT cutover_resolve(2, NULL, 'from-events', NULL)
-- ! ES012 the events of posting 2 say nothing, and would empty its old row (event_missing)

SELECT cutover_resolve(3, NULL, 'from-events', NULL)
-- ! ES012 turing cutover validate --resolve from-old --posting 3 --reason TEXT

SELECT cutover_resolve(4, 'outputs_differ', 'from-events', NULL)
-- ! ES012 (outputs_differ)

-- do validate

SELECT cutover_resolve(NULL, NULL, 'from-events', NULL)
-- ! ES012 (row_unreadable)

SELECT format('%s %s %s', b.step, b.results, b.done) FROM old_states b ORDER BY b.posting
-- = polish {"10": "keep me"} 0
-- = 20 {} 0
-- = 20 {} 0
-- =  {"10": "keep me"} 0
-- = 20 {} 9

SELECT cutover_resolve(NULL, NULL, 'from-old', NULL)
-- ! 22000 the old row of posting 1 cannot be read: step: "polish" is neither a step

SELECT cutover_resolve(4, 'counter_differs', 'from-events', NULL)
-- = 0

SELECT cutover_resolve(1, NULL, 'accepted', 'nobody knows that step') + cutover_resolve(2, NULL, 'from-old', NULL)
    + cutover_resolve(3, NULL, 'from-old', NULL) + cutover_resolve(4, NULL, 'from-old', NULL)
-- = 4

SELECT cutover_resolve(NULL, NULL, 'from-events', NULL)
-- = 3

SELECT format('%s %s %s', b.step, b.results, b.done) FROM old_states b ORDER BY b.posting
-- = polish {"10": "keep me"} 0
-- = 20 {} 0
-- = 20 {} 0
-- =  {"10": "keep me"} 0
-- = 10 {"10": "x"} 1

-- # what_stood_there_before_one_side_was_written_over_is_kept_in_the_record

CREATE TABLE old_states (posting INT PRIMARY KEY, step TEXT, results JSON, finished BOOLEAN, done INT, changed TIMESTAMPTZ, note TEXT);
INSERT INTO old_states
SELECT n, CASE WHEN n = 1 THEN 'polish' ELSE '20' END, json_build_object('10', repeat('long ', 100)), TRUE, 9, '2020-01-01 00:00+00', 'aside'
FROM generate_series(1, 4) n
WHERE n <> 3;
INSERT INTO postings (posting_id) VALUES (1), (2), (3);
SELECT append_event('llm_call_completed', n, '{"output": "x"}', '{"conversation_id": 10}') FROM generate_series(1, 3) n;
INSERT INTO cutovers (phase, mapping) VALUES (1, '{
    "schema": "public", "table": "old_states", "posting_id": "posting", "current": "step", "outputs": "results", "terminal": "finished",
    "counter": "done", "updated_at": "changed"
}')

-- do create

-- do validate

SELECT count(*) FROM cutover_discrepancies d WHERE d.old_row IS NOT NULL OR d.events_state IS NOT NULL
-- = 0

CREATE TABLE before AS SELECT b.* FROM old_states b

SELECT cutover_resolve(1, NULL, 'from-events', 'they count')
-- = 1

SELECT concat_ws(' ', d.kind, d.old_row ->> 'step', d.old_row ->> 'results' = b.results::text, d.old_row ->> 'done', d.old_row ->> 'note')
FROM cutover_discrepancies d JOIN before b ON b.posting = d.posting_id WHERE d.posting_id = 1
-- = row_unreadable polish t 9

SELECT cutover_resolve(2, 'terminal_differs', 'from-events', NULL) + cutover_resolve(2, 'current_differs', 'from-old', NULL)
    + cutover_resolve(2, NULL, 'from-events', NULL)
-- = 4

SELECT concat_ws(' ', d.kind, d.resolution, d.old_row ->> 'step', d.old_row ->> 'finished', d.old_row ->> 'done', length(d.old_row ->> 'results'))
FROM cutover_discrepancies d WHERE d.posting_id = 2 ORDER BY d.kind COLLATE "C"
-- = counter_differs from-events 20 false 9 511
-- = current_differs from-old 20 false 9 511
-- = outputs_differ from-events 20 false 9 511
-- = terminal_differs from-events 20 true 9 511

SELECT concat_ws(' ', d.kind, d.events_state)
FROM cutover_discrepancies d WHERE d.posting_id = 2 AND d.kind IN ('current_differs', 'terminal_differs') ORDER BY d.kind COLLATE "C"
-- = current_differs {"current_conversation_id" : 10, "execution_sequence" : [10], "outputs" : {"10": "x"}, "is_terminal" : false}
-- = terminal_differs {"current_conversation_id" : 10, "execution_sequence" : [10], "outputs" : {"10": "x"}, "is_terminal" : false}

SELECT cutover_resolve(3, NULL, 'from-events', NULL) + cutover_resolve(4, NULL, 'from-old', NULL)
-- = 2

SELECT concat_ws(' ', d.kind, d.old_row IS NULL, d.events_state ->> 'outputs', d.old_row ->> 'step')
FROM cutover_discrepancies d WHERE d.posting_id IN (3, 4) ORDER BY d.posting_id
-- = old_row_missing t {"10": "x"}
-- = posting_missing f 20

-- # what_is_resolved_of_one_kind_leaves_the_other_parts_as_they_are

CREATE TABLE old_states (posting INT PRIMARY KEY, step INT, results JSONB, finished BOOLEAN);
INSERT INTO old_states VALUES (1, 20, '{"20": "only here"}', TRUE), (2, 20, '{"20": "only here"}', TRUE);
INSERT INTO postings (posting_id) VALUES (1), (2);
SELECT append_event('llm_call_completed', n, '{"output": "x"}', '{"conversation_id": 10}') FROM generate_series(1, 2) n;
INSERT INTO cutovers (phase, mapping) VALUES (1, '{
    "schema": "public", "table": "old_states", "posting_id": "posting", "current": "step", "outputs": "results", "terminal": "finished"
}')

-- do create

SELECT cutover_resolve(NULL, 'terminal_differs', 'from-events', NULL)
-- = 0

-- do validate

SELECT cutover_resolve(NULL, 'terminal_differs', 'from-events', NULL)
-- = 2

SELECT concat_ws(' ', b.posting, b.step, b.results, b.finished) FROM old_states b ORDER BY b.posting
-- = 1 20 {"20": "only here"} f
-- = 2 20 {"20": "only here"} f

SELECT cutover_resolve(1, 'outputs_differ', 'from-old', NULL)
-- = 1

SELECT concat_ws(' ', p.current_conversation_id, p.outputs, p.is_terminal) FROM posting_state_projection p ORDER BY p.posting_id
-- = 10 {"20": "only here"} f
-- = 10 {"10": "x"} f

SELECT concat_ws(' ', o.posting_id, o.kind) FROM cutover_open_discrepancies o ORDER BY o.posting_id, o.kind COLLATE "C"
-- = 1 current_differs
-- = 2 current_differs
-- = 2 outputs_differ

-- # what_was_accepted_is_written_over_by_no_event_until_both_agree

CREATE TABLE old_states (posting INT PRIMARY KEY, step INT, results JSONB, finished BOOLEAN);
INSERT INTO old_states VALUES (1, 10, '{"10": "x"}', FALSE);
INSERT INTO postings (posting_id) VALUES (1);
INSERT INTO cutovers (phase, mapping) VALUES (1, '{
    "schema": "public", "table": "old_states", "posting_id": "posting", "current": "step", "outputs": "results",
    "terminal": "finished"
}')

-- do create

-- do dual-write

-- do backfill

ALTER TABLE old_states DISABLE TRIGGER cutover_import_old;
UPDATE old_states SET finished = TRUE;
ALTER TABLE old_states ENABLE ALWAYS TRIGGER cutover_import_old;
SELECT cutover_resolve(1, 'terminal_differs', 'accepted', 'it is known')
-- = 1

DO $$ BEGIN PERFORM append_event('llm_call_completed', 1, '{"output": "y"}', '{"conversation_id": 20}'); END $$;
SELECT format('%s %s %s', b.step, b.results, b.finished) FROM old_states b
-- = 20 {"10": "x", "20": "y"} t

-- do validate

SELECT count(*) FROM cutover_open_discrepancies
-- = 0

DO $$ BEGIN PERFORM append_event('posting_terminal', 1, '{"reason": "done"}'); END $$;
SELECT concat_ws(' ', d.kind, d.resolution, d.sightings) FROM cutover_discrepancies d ORDER BY d.discrepancy_id
-- = terminal_differs accepted 1
-- = terminal_differs agrees 0

DO $$ BEGIN
    PERFORM append_event('posting_entered_run', 1, '{"run_id": "0193a1d4-0000-7000-8000-000000000001", "workflow_id": 1, "entry_conversation_id": 20}');
END $$;
SELECT b.finished FROM old_states b
-- = f

SELECT d.kind FROM cutover_differences(NULL) d
-- = none

-- # what_was_accepted_and_differs_otherwise_names_the_acceptance

CREATE TABLE old_states (posting INT PRIMARY KEY, step INT, results JSONB);
INSERT INTO old_states VALUES (1, 10, '{}');
INSERT INTO postings (posting_id) VALUES (1);
INSERT INTO cutovers (phase, mapping) VALUES (1, '{
    "schema": "public", "table": "old_states", "posting_id": "posting", "current": "step", "outputs": "results"
}')

-- do create

-- do dual-write

-- do backfill

ALTER TABLE old_states DISABLE TRIGGER cutover_import_old;
UPDATE old_states SET step = 30;
ALTER TABLE old_states ENABLE ALWAYS TRIGGER cutover_import_old;
SELECT cutover_resolve(1, NULL, 'accepted', 'it is known')
-- = 1

DO $$ BEGIN PERFORM append_event('llm_call_completed', 1, '{"output": "y"}', '{"conversation_id": 20}'); END $$;
SELECT format('%s %s', b.step, b.results) FROM old_states b
-- = 30 {"20": "y"}

SELECT concat_ws(' ', o.kind, o.old, o.new, a.reason)
FROM cutover_open_discrepancies o JOIN cutover_discrepancies a ON a.discrepancy_id = o.accepted_before
-- = current_differs 30 20 it is known

DO $$ BEGIN PERFORM append_event('llm_call_completed', 1, '{"output": "z"}', '{"conversation_id": 40}'); END $$;
SELECT format('%s %s', b.step, b.results) FROM old_states b
-- = 30 {"20": "y", "40": "z"}

-- do validate

SELECT concat_ws(' ', d.kind, d.old, d.new, coalesce(d.resolution, 'open')) FROM cutover_discrepancies d ORDER BY d.discrepancy_id
-- = current_differs 30 10 changed
-- = current_differs 30 40 open

SELECT cutover_resolve(1, 'current_differs', 'from-events', NULL)
-- = 1

DO $$ BEGIN PERFORM append_event('llm_call_completed', 1, '{"output": "z"}', '{"conversation_id": 50}'); END $$;
SELECT b.step FROM old_states b
-- = 50

-- # an_older_program_takes_over_nothing_that_was_accepted_unless_it_writes_it

CREATE TABLE old_states (posting INT PRIMARY KEY, step INT, results JSONB, note TEXT);
INSERT INTO old_states VALUES (1, 10, '{}');
INSERT INTO postings (posting_id) VALUES (1);
INSERT INTO cutovers (phase, mapping) VALUES (1, '{
    "schema": "public", "table": "old_states", "posting_id": "posting", "current": "step", "outputs": "results"
}')

-- do create

-- do dual-write

UPDATE old_states SET results = '{"10": "x"}'

ALTER TABLE old_states DISABLE TRIGGER cutover_import_old;
UPDATE old_states SET step = 30;
ALTER TABLE old_states ENABLE ALWAYS TRIGGER cutover_import_old;
SELECT cutover_resolve(1, NULL, 'accepted', 'it is known')
-- = 1

UPDATE old_states SET results = '{"20": "z"}';
SELECT p.outputs FROM posting_state_projection p
-- = {"20": "z"}

-- do backfill

DO $$ BEGIN
    PERFORM dual_write('llm_call_completed', 1, '{"output": "a"}', '{"conversation_id": 10}', old_row => '{"note": "both"}');
END $$;
SELECT format('%s %s %s', b.step, b.results, b.note) FROM old_states b
-- = 30 {"10": "a", "20": "z"} both

UPDATE old_states SET step = 20;
SELECT format('%s', p.current_conversation_id) FROM posting_state_projection p
-- = 20

DO $$ BEGIN PERFORM append_event('llm_call_completed', 1, '{"output": "b"}', '{"conversation_id": 40}'); END $$;
SELECT b.step FROM old_states b
-- = 40

-- # what_a_cutover_has_found_is_kept_when_the_next_one_is_created

CREATE TABLE old_states (posting INT PRIMARY KEY, step TEXT);
CREATE TABLE other_states (posting INT PRIMARY KEY, step TEXT);
INSERT INTO old_states VALUES (1, 'x'), (2, '20');
INSERT INTO postings (posting_id) VALUES (1), (2);
SELECT append_event('llm_call_completed', 2, '{"output": "x"}', '{"conversation_id": 10}');
INSERT INTO cutovers (phase, mapping) VALUES (1, '{"schema": "public", "table": "old_states", "posting_id": "posting", "current": "step"}')

-- do create

SELECT cutover_resolve(1, NULL, 'accepted', 'nobody reads it') + cutover_resolve(2, NULL, 'from-events', 'it is known')
-- = 2

-- do undo-create

UPDATE cutovers SET mapping = mapping || '{"table": "other_states"}'

-- do create

SELECT count(*) FROM cutover_discrepancies
-- = 0

SELECT concat_ws(' ', p.cutover, p.old_table, p.posting_id, p.kind, p.resolution, p.reason, p.old_row ->> 'step', p.events_state ->> 'outputs')
FROM cutover_past_discrepancies p ORDER BY p.posting_id
-- = 0 public.old_states 1 row_unreadable accepted nobody reads it
-- = 0 public.old_states 2 current_differs from-events it is known 20 {"10": "x"}
