-- # every_old_row_can_be_read_or_says_why_not

CREATE SCHEMA "Old Days";
CREATE TABLE "Old Days"."States" (
    "Posting Id" BIGINT PRIMARY KEY, "Step" VARCHAR(20), "Out" JSON, "Hist" TEXT, "end" BOOLEAN, "At" TIMESTAMP, n BIGINT
);
INSERT INTO "Old Days"."States" VALUES
    (1, 'review', '{"draft": {"a": "😀"}, "20": null}', '[{"s": "draft", "at": 1}, {"s": 20}, {"s": "20"}]', TRUE, '2020-01-01 00:00', 7),
    (2, NULL, NULL, NULL, NULL, NULL, NULL),
    (3, '', 'null', ' ', FALSE, 'infinity', -1),
    (4, '0010', '{"010": "literally \\u0000"}', '["draft", 10, "10"]', FALSE, '0044-03-15 BC', 0),
    (5, NULL, E'{"10": "a zero byte: \\u0000"}', NULL, NULL, NULL, NULL),
    (6, 'nowhere', NULL, NULL, NULL, NULL, NULL),
    (7, NULL, '[1]', NULL, NULL, NULL, NULL),
    (8, NULL, '{"nowhere": 1}', NULL, NULL, NULL, NULL),
    (9, NULL, '{"draft": 1, "10": 2}', NULL, NULL, NULL, NULL),
    (10, NULL, NULL, 'no JSON', NULL, NULL, NULL),
    (11, NULL, NULL, '["draft", {"t": 20}]', NULL, NULL, NULL),
    (12, NULL, NULL, '{}', NULL, NULL, NULL),
    (13, NULL, ('{"10": ' || repeat('[', 9000) || repeat(']', 9000) || '}')::json, '[1.5]', NULL, NULL, NULL),
    (14, '4294967296', NULL, NULL, NULL, NULL, NULL),
    (2147483648, NULL, NULL, NULL, NULL, NULL, NULL),
    (-2147483648, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO cutovers (phase, mapping) VALUES (1, '{
    "schema": "Old Days", "table": "States", "posting_id": "Posting Id", "current": "Step", "outputs": "Out",
    "history": "Hist", "history_key": "s", "terminal": "end", "updated_at": "At", "counter": "n",
    "steps": {"draft": 10, "review": 20}
}')

-- do create

SELECT concat_ws(
    ' ', o.posting_key, coalesce(o.posting_id::text, 'null'), coalesce(o.current_conversation_id::text, 'nowhere'),
    o.execution_sequence, o.outputs, o.is_terminal, o.counter
)
FROM cutover_old_states o
WHERE o.problem IS NULL
ORDER BY o.posting_key
-- = -2147483648 -2147483648 nowhere {} {} f 0
-- = 1 1 20 {10,20,20} {"10": {"a": "😀"}} t 7
-- = 2 2 nowhere {} {} f 0
-- = 3 3 nowhere {} {} f -1
-- = 4 4 10 {10,10,10} {"10": "literally \\u0000"} f 0

SELECT concat_ws(' ', o.posting_key, o.problem_column, o.problem) FROM cutover_old_states o
WHERE o.problem IS NOT NULL AND o.posting_id BETWEEN 6 AND 12 AND o.posting_id <> 10
ORDER BY o.posting_key
-- = 6 Step Step: "nowhere" is neither a step nor the id of a conversation
-- = 7 Out Out: it is no object, but of the type array
-- = 8 Out Out: its key "nowhere" is neither a step nor the id of a conversation
-- = 9 Out Out: two of its keys are the same conversation, with different outputs
-- = 11 Hist Hist: element 2 names no conversation
-- = 12 Hist Hist: it is no array, but of the type object

SELECT string_agg(format('%s %s', o.posting_key, o.problem_column), ', ' ORDER BY o.posting_key)
FROM cutover_old_states o
WHERE o.problem IS NOT NULL AND (o.current_conversation_id, o.execution_sequence, o.outputs, o.is_terminal, o.counter) IS NULL
-- = 5 Out, 6 Step, 7 Out, 8 Out, 9 Out, 10 Hist, 11 Hist, 12 Hist, 13 Hist, 14 Step, 2147483648 Posting Id

-- # columns_that_are_not_mapped_are_not_compared

CREATE TABLE old_states (posting INT PRIMARY KEY, step INT, note TEXT);
INSERT INTO old_states VALUES (1, 10, 'a');
INSERT INTO postings (posting_id) VALUES (1);
SELECT append_event('llm_call_completed', 1, '{"output": "x"}', '{"conversation_id": 10}');
INSERT INTO cutovers (phase, mapping) VALUES (1, '{"schema": "public", "table": "old_states", "posting_id": "posting", "current": "step"}')

-- do create

SELECT o::text FROM cutover_old_states o
-- = (1,10,,,,,,,"(1,10,a)",1,)

SELECT d::text FROM cutover_differences(NULL) d
-- = none

-- # each_kind_of_difference_is_told_of_its_posting

CREATE TABLE old_states (
    posting BIGINT PRIMARY KEY, step INT, results JSONB, steps_done INT[], finished BOOLEAN, done INT
);
INSERT INTO old_states VALUES
    (1, 10, '{"10": "x"}', '{10}', FALSE, 1),
    (2, 20, '{"10": "y", "20": null, "30": 1}', '{10,30}', TRUE, 5),
    (3, 10, NULL, NULL, NULL, NULL),
    (4, NULL, NULL, NULL, NULL, NULL),
    (5, NULL, '[]', NULL, NULL, NULL),
    (6, 10, NULL, NULL, NULL, NULL),
    (9999999999, NULL, NULL, NULL, NULL, NULL);
INSERT INTO postings (posting_id) SELECT n FROM generate_series(1, 9) n WHERE n <> 6;
SELECT append_event('llm_call_completed', n, '{"output": "x"}', '{"conversation_id": 10}') FROM unnest('{1,2,7}'::int[]) n;
SELECT append_event('circuit_breaker_open', 8);
INSERT INTO cutovers (phase, mapping) VALUES (1, '{
    "schema": "public", "table": "old_states", "posting_id": "posting", "current": "step", "outputs": "results",
    "history": "steps_done", "terminal": "finished", "counter": "done"
}')

-- do create

SELECT format('%s %s %s: %s - %s', coalesce(d.posting_id::text, 'none'), d.kind, d.field, coalesce(d.old, ''), coalesce(d.new, ''))
FROM cutover_differences(NULL) d
-- = 2 counter_differs done: 5 - 1
-- = 2 current_differs step: 20 - 10
-- = 2 outputs_differ results: {"10": "y", "30": 1} - {"10": "x"}
-- = 2 sequence_differs steps_done: {10,30} - {10}
-- = 2 terminal_differs finished: true - false
-- = 3 event_missing posting: at 10; completed {}; outputs {} -
-- = 5 row_unreadable results:  - results: it is no object, but of the type array
-- = 6 posting_missing posting: at 10; completed {}; outputs {} -
-- = 7 old_row_missing posting:  - at 10; completed {10}; outputs {"10": "x"}
-- = none row_unreadable posting: 9999999999 - posting: 9999999999 is no id of a posting, which has 32 bits

SELECT string_agg(d.posting_id::text, ' ') FROM cutover_differences('{1,3,4,8}') d
-- = 3

-- # a_value_that_is_cut_off_is_still_told_from_another

SELECT length(cutover_short(repeat('x', 201))) <= 200
    AND cutover_short(repeat('x', 1000) || 'a') <> cutover_short(repeat('x', 1000) || 'b')
    AND cutover_short(repeat('x', 200)) = repeat('x', 200)
    AND cutover_short(NULL) IS NULL
-- = t

-- # a_row_has_the_same_text_in_every_session

CREATE TABLE old_states (posting INT PRIMARY KEY, step INT, f FLOAT8, t TIMESTAMPTZ, d DATE, i INTERVAL, b BYTEA);
INSERT INTO old_states VALUES (1, 10, 0.1::float8 + 0.2, '2024-02-03 04:05:06+00', '2024-02-03', '1 day 2 hours', '\x00ff');
INSERT INTO cutovers (phase, mapping) VALUES (1, '{"schema": "public", "table": "old_states", "posting_id": "posting", "current": "step"}')

-- do create

SET TimeZone = 'Asia/Kathmandu';
SET DateStyle = 'German, DMY';
SET IntervalStyle = 'iso_8601';
SET bytea_output = 'escape';
SET extra_float_digits = -5;
SELECT o.row_text FROM cutover_old_states o
-- = (1,10,0.30000000000000004,"2024-02-03 04:05:06+00",2024-02-03,"1 day 02:00:00","\\x00ff")

-- # a_backfill_takes_each_row_over_once

CREATE TABLE old_states (posting INT PRIMARY KEY, step TEXT, steps_done JSONB, finished BOOLEAN, changed TIMESTAMPTZ);
INSERT INTO old_states VALUES
    (1, 'review', '["draft"]', FALSE, '2020-01-01 00:00+00'), (2, NULL, NULL, NULL, NULL), (3, 'nowhere', NULL, NULL, NULL),
    (5, 'draft', '[]', TRUE, NULL);
INSERT INTO postings (posting_id) VALUES (4), (5);
SELECT append_event('llm_call_completed', 4, '{"output": "x"}', '{"conversation_id": 10}');
INSERT INTO cutovers (phase, mapping) VALUES (1, '{
    "schema": "public", "table": "old_states", "posting_id": "posting", "current": "step", "history": "steps_done",
    "terminal": "finished", "updated_at": "changed", "steps": {"draft": 10, "review": 20}
}')

-- do create

-- do dual-write

SELECT b::text FROM cutover_backfill(NULL, 3) b
-- = (3,3,1,0,1)

SELECT b::text FROM cutover_backfill(3, 100) b
-- = (5,2,1,1,0)

SELECT b::text FROM cutover_backfill(5, 100) b
-- = (,0,0,0,0)

SELECT b::text FROM cutover_backfill(NULL, 100) b
-- = (5,5,0,0,1)

SELECT format('%s %s', e.event_data - 'row_digest', e.metadata - 'imported_by') FROM execution_events e
WHERE e.event_type = 'posting_state_imported' AND e.aggregate_id = 1
-- = {"source": "public.old_states", "outputs": {}, "replaces": false, "is_terminal": false, "recorded_at": "2020-01-01T00:00:00.000000Z", "execution_sequence": [10], "current_conversation_id": 20} {}

SELECT e.event_data ->> 'row_digest' = encode(sha256(convert_to(o.row_text, 'UTF8')), 'hex') AND e.metadata ->> 'imported_by' = session_user
FROM execution_events e
JOIN cutover_old_states o ON o.posting_id = e.aggregate_id
WHERE e.aggregate_id = 1
-- = t

SELECT b.posting || ' ' || b.step || ' ' || b.steps_done FROM old_states b WHERE b.posting = 4
-- = 4 draft ["draft"]

SELECT string_agg(p.posting_id::text, ' ' ORDER BY p.posting_id) FROM postings p
-- = 1 2 4 5

SELECT d.posting_id || ' ' || d.kind FROM cutover_differences(NULL) d
-- = 3 row_unreadable

-- # a_backfill_ends_after_a_moment_and_looks_at_one_row_at_least

CREATE TABLE old_states (posting INT PRIMARY KEY, step INT);
INSERT INTO old_states VALUES (1, 10), (2, 10), (3, 10);
INSERT INTO cutovers (phase, mapping) VALUES (1, '{"schema": "public", "table": "old_states", "posting_id": "posting", "current": "step"}')

-- do create

-- do dual-write

SELECT b::text FROM cutover_backfill(NULL, 100, '0 ms') b
-- = (1,1,1,0,0)

SELECT b::text FROM cutover_backfill(1, 100, '0 ms') b
-- = (2,1,1,0,0)

SELECT b::text FROM cutover_backfill(2, 100, '1 day') b
-- = (3,1,1,0,0)

SELECT b::text FROM cutover_backfill(3, 100, '0 ms') b
-- = (,0,0,0,0)

-- # what_a_round_has_found_before_the_backfill_is_over_with_it

CREATE TABLE old_states (posting INT PRIMARY KEY, step TEXT, done INT);
INSERT INTO old_states VALUES (1, '10', 0), (2, '10', 7), (3, 'nowhere', 0);
INSERT INTO postings (posting_id) VALUES (1), (4);
DO $$ BEGIN PERFORM append_event('llm_call_completed', 4, '{"output": "x"}', '{"conversation_id": 10}'); END $$;
INSERT INTO cutovers (phase, mapping) VALUES (1, '{
    "schema": "public", "table": "old_states", "posting_id": "posting", "current": "step", "counter": "done"
}')

-- do create

-- do dual-write

-- do validate

SELECT concat_ws(' ', o.posting_id, o.kind) FROM cutover_open_discrepancies o ORDER BY o.posting_id
-- = 1 event_missing
-- = 2 posting_missing
-- = 3 row_unreadable
-- = 4 old_row_missing

-- do backfill

SELECT concat_ws(' ', o.posting_id, o.kind) FROM cutover_open_discrepancies o ORDER BY o.posting_id
-- = 2 counter_differs
-- = 3 row_unreadable

-- # a_difference_is_kept_until_both_agree

CREATE TABLE old_states (posting INT PRIMARY KEY, step TEXT);
INSERT INTO old_states VALUES (1, '10'), (2, 'x'), (3, '10');
INSERT INTO cutovers (phase, mapping) VALUES (1, '{"schema": "public", "table": "old_states", "posting_id": "posting", "current": "step"}')

-- do create

SELECT v::text FROM cutover_validate(NULL, 2) v
-- = (2,2,2)

SELECT v::text FROM cutover_validate(2, 2) v
-- = (3,1,1)

-- do validate

SELECT format('%s %s %s', d.posting_id, d.kind, d.sightings) FROM cutover_open_discrepancies d ORDER BY d.posting_id
-- = 1 posting_missing 2
-- = 2 row_unreadable 2
-- = 3 posting_missing 2

UPDATE old_states SET step = 'y' WHERE posting = 2;
DELETE FROM old_states WHERE posting = 3

-- do validate

SELECT format('%s %s %s %s', d.posting_id, d.sightings, d.new, d.resolution) FROM cutover_discrepancies d ORDER BY d.posting_id
-- = 1 3
-- = 2 3 step: "y" is neither a step nor the id of a conversation
-- = 3 2  agrees

-- # validate_event_store_tells_what_differs_with_a_repair_that_works

CREATE TABLE old_states (posting INT PRIMARY KEY, step INT, done INT);
INSERT INTO old_states VALUES (1, 20, 0), (2, 20, 0), (3, 20, 0);
INSERT INTO postings (posting_id) VALUES (1), (2), (4);
INSERT INTO cutovers (phase, mapping) VALUES (1, '{
    "schema": "public", "table": "old_states", "posting_id": "posting", "current": "step", "counter": "done"
}')

-- do create

SELECT f.kind FROM validate_event_store() f
-- = none

-- do dual-write

ALTER TABLE old_states DISABLE TRIGGER cutover_import_old;
ALTER TABLE execution_events DISABLE TRIGGER cutover_hold_old;
DROP TRIGGER write_old_postings ON execution_events;
INSERT INTO execution_events (aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata) VALUES
    ('posting', 2, 1, 'llm_call_completed', '{}', '{"conversation_id": 10}'),
    ('posting', 4, 1, 'llm_call_completed', '{}', '{"conversation_id": 10}');
SELECT format('%s %s %s', f.kind, f.severity, coalesce(f.aggregate_id::text, '')) FROM validate_event_store() f
-- = cutover_trigger_missing error
-- = cutover_trigger_missing error
-- = cutover_trigger_missing error
-- = cutover_event_missing error 1
-- = cutover_counter_differs error 2
-- = cutover_current_differs error 2
-- = cutover_posting_missing error 3
-- = cutover_old_row_missing error 4

DO $$
DECLARE
    repair TEXT;
BEGIN
    FOR repair IN SELECT f.repair FROM validate_event_store() f LOOP
        EXECUTE repair;
    END LOOP;
END;
$$;
SELECT f.kind || f.detail FROM validate_event_store() f
-- = none

-- do switch-reads

-- where the events are right unless they say nothing
INSERT INTO postings (posting_id) VALUES (5);
DO $$ BEGIN PERFORM append_event('llm_call_failed', 5, '{"error": "x"}'); END $$;
ALTER TABLE old_states_base DISABLE TRIGGER cutover_import_old;
INSERT INTO old_states_base VALUES (5, 20, 0);
UPDATE old_states_base SET step = 30 WHERE posting = 1;
ALTER TABLE old_states_base ENABLE ALWAYS TRIGGER cutover_import_old

SELECT f.repair FROM validate_event_store() f
-- = SELECT "public".cutover_resolve(1, 'current_differs'::text, 'from-events'::text, NULL::text)
-- = SELECT "public".cutover_resolve(5, 'current_differs'::text, 'from-old'::text, NULL::text)

DO $$
DECLARE
    repair TEXT;
BEGIN
    FOR repair IN SELECT f.repair FROM validate_event_store() f LOOP
        EXECUTE repair;
    END LOOP;
END;
$$;
SELECT f.kind || f.detail FROM validate_event_store() f
-- = none

-- # a_table_that_somebody_has_dropped_holds_no_event_up

CREATE TABLE old_states (posting INT PRIMARY KEY, step INT);
INSERT INTO postings (posting_id) VALUES (1);
INSERT INTO cutovers (phase, mapping) VALUES (1, '{"schema": "public", "table": "old_states", "posting_id": "posting", "current": "step"}')

-- do create

-- do dual-write

DROP TABLE old_states CASCADE;
SELECT (append_event('llm_call_completed', 1, '{}', '{"conversation_id": 10}')).aggregate_version
-- = 1

SELECT f.kind FROM validate_event_store() f
-- = cutover_table_missing

-- do undo-dual-write

-- do undo-create

SELECT count(*) FROM pg_trigger t WHERE t.tgname IN ('cutover_hold_old', 'write_old_postings')
-- = 0
