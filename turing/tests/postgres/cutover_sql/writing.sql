-- # first

CREATE TABLE old_states (
    posting INT PRIMARY KEY, step TEXT, results JSONB, steps_done JSONB, finished BOOLEAN, changed TIMESTAMPTZ, done INT,
    note TEXT DEFAULT 'none'
);
INSERT INTO old_states VALUES
    (1, 'draft', '{"draft": "x"}', '[{"s": "draft", "by": "ada"}]', FALSE, '2020-01-01', 1, 'one'),
    (2, NULL, NULL, NULL, NULL, NULL, NULL, 'two');
INSERT INTO postings (posting_id) SELECT generate_series(1, 9);
CREATE VIEW imports AS
SELECT e.aggregate_id AS posting, e.event_data - '{source,row_digest,recorded_at}'::text[] AS data
FROM execution_events e WHERE e.event_type = 'posting_state_imported' ORDER BY e.position;
CREATE PROCEDURE completes(posting INT, conversation INT, output JSONB DEFAULT 'null') LANGUAGE sql AS $$
    SELECT append_event(
        'llm_call_completed', posting, jsonb_build_object('output', output), jsonb_build_object('conversation_id', conversation)
    )
$$;
INSERT INTO cutovers (phase, mapping) VALUES (1, '{
    "schema": "public", "table": "old_states", "posting_id": "posting", "current": "step", "outputs": "results",
    "history": "steps_done", "history_key": "s", "terminal": "finished", "updated_at": "changed", "counter": "done",
    "steps": {"draft": 10, "review": 20, "send": 30}
}')

-- do create

-- do dual-write

-- do backfill

-- # a_write_to_the_old_table_is_one_event_and_no_more

UPDATE old_states SET step = 'review', results = results || '{"review": "y"}', steps_done = steps_done || '[{"s": "review"}]', done = 2
WHERE posting = 1;
UPDATE old_states SET results = '{"draft": "z"}', steps_done = '[{"s": "review"}, {"s": "draft"}]', finished = TRUE WHERE posting = 1;
SELECT i.data FROM imports i WHERE i.posting = 1 OFFSET 1
-- = {"outputs": {"20": "y"}, "replaces": false, "is_terminal": false, "execution_sequence": [20], "current_conversation_id": 20}
-- = {"outputs": {"10": "z"}, "replaces": true, "is_terminal": true, "execution_sequence": [20, 10], "current_conversation_id": 20}

SELECT posting_state_json(p) FROM posting_state_projection p WHERE p.posting_id = 1
-- = {"run": null, "outputs": {"10": "z"}, "terminal": {"reason": null, "final_conversation_id": 20}, "ended_runs": {}, "is_terminal": true, "execution_sequence": [20, 10], "current_conversation_id": 20}

SELECT d.kind FROM cutover_differences(NULL) d
-- = none

-- # an_event_is_written_to_the_old_row_and_imported_by_nobody

CALL completes(1, 30, '{"a": 1}');
CALL completes(1, 10, '"again"');
DO $$ BEGIN PERFORM append_event('posting_terminal', 3, '{"reason": "done"}'); END $$;
SELECT to_jsonb(b) - 'changed' FROM old_states b WHERE b.posting IN (1, 3) ORDER BY b.posting
-- = {"done": 3, "note": "one", "step": "draft", "posting": 1, "results": {"send": {"a": 1}, "draft": "again"}, "finished": false, "steps_done": [{"s": "draft", "by": "ada"}, {"s": "send"}, {"s": "draft"}]}
-- = {"done": 0, "note": "none", "step": null, "posting": 3, "results": {}, "finished": true, "steps_done": []}

SELECT string_agg(e.event_type, ' ' ORDER BY e.position) FROM execution_events e
-- = posting_state_imported llm_call_completed llm_call_completed posting_terminal

SELECT b.changed = p.last_updated FROM old_states b JOIN posting_state_projection p ON p.posting_id = b.posting WHERE b.posting = 1
-- = t

SELECT d.kind FROM cutover_differences(NULL) d
-- = none

-- # a_raw_insert_of_many_events_is_written_to_each_old_row

INSERT INTO execution_events (aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata)
SELECT 'posting', n, 1, 'llm_call_completed', '{"output": 1}'::jsonb, '{"conversation_id": 10}'::jsonb FROM generate_series(3, 9) n
UNION ALL SELECT 'workflow', 1, 1, 'workflow_started', '{}', '{}';
SELECT string_agg(format('%s %s', b.posting, b.steps_done), ', ' ORDER BY b.posting) FROM old_states b WHERE b.posting > 7
-- = 8 [{"s": "draft"}], 9 [{"s": "draft"}]

SELECT d.kind FROM cutover_differences(NULL) d
-- = none

-- # a_write_to_another_column_is_no_event

UPDATE old_states SET note = 'other', done = 7, changed = now();
SELECT count(*) FROM execution_events
-- = 1

-- # a_write_to_another_column_takes_nothing_along_that_the_events_do_not_have

ALTER TABLE old_states DISABLE TRIGGER cutover_import_old;
UPDATE old_states SET step = 'send' WHERE posting = 1;
ALTER TABLE old_states ENABLE ALWAYS TRIGGER cutover_import_old;
UPDATE old_states SET note = 'other' WHERE posting = 1;
UPDATE old_states SET finished = TRUE WHERE posting = 1;
SELECT i.data -> 'current_conversation_id', i.data -> 'is_terminal' FROM imports i OFFSET 1
-- = 10

SELECT d.kind FROM cutover_differences('{1}') d
-- = current_differs

-- # rows_that_are_copied_upserted_renumbered_and_removed_are_all_taken_over

INSERT INTO old_states (posting, step) SELECT n, 'draft' FROM generate_series(11, 400) n;
INSERT INTO old_states (posting, step) VALUES (11, 'send'), (401, 'send') ON CONFLICT (posting) DO UPDATE SET step = excluded.step;
UPDATE old_states SET posting = 500 WHERE posting = 1;
UPDATE old_states SET finished = TRUE WHERE posting > 390;
DELETE FROM old_states WHERE posting BETWEEN 100 AND 110;
SELECT d.kind FROM cutover_differences(NULL) d
-- = none

SELECT string_agg(format('%s %s', i.posting, i.data), ', ') FROM imports i WHERE i.posting IN (1, 500, 100)
-- = 1 {"outputs": {"10": "x"}, "replaces": false, "is_terminal": false, "execution_sequence": [10], "current_conversation_id": 10}, 100 {"outputs": {}, "replaces": false, "is_terminal": false, "execution_sequence": [], "current_conversation_id": 10}, 1 {"outputs": {}, "replaces": true, "is_terminal": false, "execution_sequence": [], "current_conversation_id": null}, 500 {"outputs": {"10": "x"}, "replaces": false, "is_terminal": false, "execution_sequence": [10], "current_conversation_id": 10}, 500 {"outputs": {}, "replaces": false, "is_terminal": true, "execution_sequence": [], "current_conversation_id": 10}, 100 {"outputs": {}, "replaces": false, "is_terminal": false, "execution_sequence": [], "current_conversation_id": null}

SELECT (append_event('llm_call_completed', 100, '{}', '{"conversation_id": 20}')).aggregate_version
-- = 3

SELECT b.step FROM old_states b WHERE b.posting = 100
-- = review

-- # an_import_takes_a_posting_out_of_its_run

DO $$ BEGIN
    PERFORM append_event('posting_entered_run', 1, '{"run_id": "0193a1d4-0000-7000-8000-000000000001", "workflow_id": 1, "entry_conversation_id": 20}');
END $$;
SELECT b.step FROM old_states b WHERE b.posting = 1
-- = review

UPDATE old_states SET note = 'other' WHERE posting = 1;
SELECT p.run ->> 'run_id' FROM posting_state_projection p WHERE p.posting_id = 1
-- = 0193a1d4-0000-7000-8000-000000000001

UPDATE old_states SET step = 'send' WHERE posting = 1;
SELECT p.run FROM posting_state_projection p WHERE p.posting_id = 1
-- = null

UPDATE old_states SET step = 'draft' WHERE posting = 1;
SELECT e.metadata ->> 'run_id' FROM execution_events e
WHERE e.event_type = 'posting_state_imported' AND e.aggregate_id = 1 ORDER BY e.position
-- = null
-- = 0193a1d4-0000-7000-8000-000000000001
-- = null

-- # a_bulk_insert_holds_no_more_places_than_are_set_aside_for_a_transaction

BEGIN;
INSERT INTO old_states (posting, step) SELECT n, 'draft' FROM generate_series(1001, 1300) n;
SELECT count(*) = least(300, current_setting('max_locks_per_transaction')::int / 2)
FROM pg_locks l WHERE l.locktype = 'advisory' AND l.pid = pg_backend_pid();
COMMIT
-- = t

SELECT d.kind FROM cutover_differences(NULL) d
-- = none

-- # truncate_is_refused_with_what_to_do

TRUNCATE old_states
-- ! 55000 DELETE FROM public.old_states

-- # a_row_that_the_events_cannot_take_over_is_kept_as_a_discrepancy_and_written_all_the_same

INSERT INTO old_states (posting, step) VALUES (3, 'nowhere');
INSERT INTO old_states (posting, results) VALUES (4, ('{"10": ' || repeat('[', 70) || repeat(']', 70) || '}')::jsonb);
SELECT format('%s %s %s', d.posting_id, d.kind, d.new) FROM cutover_open_discrepancies d ORDER BY d.posting_id
-- = 3 row_unreadable step: "nowhere" is neither a step nor the id of a conversation
-- = 4 import_refused event_data has arrays and objects nested deeper than 64 levels, which programs cannot read

-- do validate

UPDATE old_states SET step = 'draft', results = NULL WHERE posting IN (3, 4)

-- do validate

SELECT string_agg(DISTINCT d.resolution, ' ') FROM cutover_discrepancies d
-- = agrees

SELECT d.kind FROM cutover_differences(NULL) d
-- = none

-- # a_posting_that_cannot_be_registered_refuses_no_write_to_the_old_table

ALTER TABLE postings ADD title TEXT NOT NULL DEFAULT '';
ALTER TABLE postings ALTER title DROP DEFAULT;
INSERT INTO old_states (posting, step) VALUES (77, 'draft');
SELECT d.kind || ' ' || split_part(d.new, ';', 1) FROM cutover_open_discrepancies d
-- = import_refused null value in column "title" of relation "postings" violates not-null constraint

-- # no_event_is_written_over_an_old_row_that_was_not_taken_over

INSERT INTO old_states (posting, step) VALUES (3, 'nowhere')

CALL completes(3, 10)
-- ! ES011 SELECT "public".cutover_resolve(3, 'row_unreadable'::text, 'accepted'::text

UPDATE cutovers SET is_backfilled = FALSE;
ALTER TABLE old_states DISABLE TRIGGER cutover_import_old;
INSERT INTO old_states (posting, step, steps_done) VALUES (4, 'review', '[{"s": "draft"}]'), (5, 'review', '[{"s": "draft"}]');
ALTER TABLE old_states ENABLE ALWAYS TRIGGER cutover_import_old

CALL completes(4, 20)
-- ! ES011 SELECT "public".cutover_import(4, NULL::text)

SELECT cutover_import(4, NULL)
-- = t

CALL completes(4, 20);
SELECT (dual_write('llm_call_completed', 5, '{}', '{"conversation_id": 20}')).aggregate_version
-- = 2

SELECT format('%s %s', b.posting, b.steps_done) FROM old_states b WHERE b.posting IN (4, 5) ORDER BY b.posting
-- = 4 [{"s": "draft"}, {"s": "review"}]
-- = 5 [{"s": "draft"}, {"s": "review"}]

SELECT cutover_resolve(3, NULL, 'accepted', 'junk')
-- = 1

-- what was accepted stays, and the events go on without it
CALL completes(3, 20);
SELECT (dual_write('llm_call_completed', 3, '{}', '{"conversation_id": 10}', old_row => '{"note": "seen"}')).aggregate_version
-- = 2

SELECT format('%s %s', b.step, b.note) FROM old_states b WHERE b.posting = 3
-- = nowhere seen

-- do validate

SELECT count(*) FROM cutover_open_discrepancies
-- = 0

UPDATE old_states SET step = 'review' WHERE posting = 3;
CALL completes(3, 10);
SELECT b.step FROM old_states b WHERE b.posting = 3
-- = draft

-- # what_the_old_table_refuses_refuses_the_event_and_says_what_to_do

ALTER TABLE old_states ADD CONSTRAINT never_sent CHECK (step <> 'send'), ADD batch INT NOT NULL DEFAULT 0;
ALTER TABLE old_states ALTER batch DROP DEFAULT

CALL completes(1, 30)
-- ! ES010 ALTER TABLE public.old_states DROP CONSTRAINT never_sent

INSERT INTO execution_events (aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata) VALUES
    ('posting', 1, 2, 'llm_call_completed', '{}', '{"conversation_id": 20}'),
    ('posting', 3, 1, 'llm_call_completed', '{}', '{"conversation_id": 20}')
-- ! ES010 ALTER COLUMN batch SET DEFAULT

SELECT count(*) FROM execution_events
-- = 1

SELECT (dual_write('llm_call_completed', 3, '{}', '{"conversation_id": 20}', old_row => '{"batch": 7, "note": "new"}')).aggregate_version
-- = 1

SELECT format('%s %s %s %s', b.posting, b.step, b.batch, b.note) FROM old_states b WHERE b.posting = 3
-- = 3 review 7 new

-- # dual_write_writes_both_or_neither

SELECT (dual_write('llm_call_completed', 1, '{"output": 1}', '{"conversation_id": 20}', idempotency_key => 'k', old_row => '{"note": "a"}')).aggregate_version
-- = 2

SELECT format('%s %s', b.step, b.note) FROM old_states b WHERE b.posting = 1
-- = review a

UPDATE old_states SET note = 'b' WHERE posting = 1;
SELECT (dual_write('llm_call_completed', 1, '{"output": 1}', '{"conversation_id": 20}', idempotency_key => 'k', old_row => '{"note": "a"}')).aggregate_version
-- = 2

SELECT dual_write('llm_call_completed', 1, '{}', '{"conversation_id": 30}', old_row => '{"posting": "one"}')
-- ! 22023 old_row is of posting one, and the event of posting 1

SELECT dual_write('llm_call_completed', 1, '{}', '{"conversation_id": 30}', old_row => '{"done": "many"}')
-- ! ES010 invalid input syntax for type integer

SELECT dual_write('llm_call_completed', 1, '{}', '{"conversation_id": 30}', old_row => '{"nots": 1}')
-- ! 42703 did you mean note?

SELECT dual_write('llm_call_completed', 1, '{}', '{"conversation_id": 30}', aggregate_version => 2)
-- ! 23505

SELECT count(*) || ' ' || max(b.note) FROM execution_events e JOIN old_states b ON b.posting = e.aggregate_id
-- = 2 b

SELECT (dual_write('llm_call_completed', 1, '{}', '{"conversation_id": 30}', old_row => '{"step": "draft", "finished": true}')).aggregate_version
-- = 3

SELECT p.current_conversation_id || ' ' || p.is_terminal || ' ' || p.aggregate_version FROM posting_state_projection p WHERE p.posting_id = 1
-- = 10 true 4

-- # without_dual_writing_nothing_is_written_twice

-- do undo-dual-write

SELECT dual_write('llm_call_completed', 1, '{}', '{"conversation_id": 30}')
-- ! ES009 turing cutover dual-write

CALL completes(1, 30);
UPDATE old_states SET step = 'review' WHERE posting = 1;
SELECT format('%s %s', d.kind, d.old) FROM cutover_differences(NULL) d WHERE d.kind = 'current_differs'
-- = current_differs 20

TRUNCATE old_states

-- do undo-create

SELECT dual_write('llm_call_completed', 1)
-- ! ES009 turing cutover create --mapping FILE

SELECT count(*) FROM pg_class c WHERE c.relname IN ('cutover_old_states', 'old_states_base')
-- = 0

-- # a_trigger_of_the_old_table_finds_what_is_in_its_schema

CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE old_states SET step = 'review' WHERE posting = 2 AND NEW.posting = 1;
    RETURN NULL;
END;
$$;
CREATE TRIGGER stamp AFTER UPDATE ON old_states FOR EACH ROW EXECUTE FUNCTION stamp();
CALL completes(1, 30);
SELECT format('%s %s', p.posting_id, p.current_conversation_id) FROM posting_state_projection p ORDER BY p.posting_id
-- = 1 30
-- = 2 20

SELECT d.kind FROM cutover_differences(NULL) d
-- = none

-- # what_the_schema_of_the_old_table_has_is_not_called_with_the_rights_of_the_store

CREATE FUNCTION public.format(TEXT, TEXT, TEXT) RETURNS TEXT LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$called$$; END';
CREATE FUNCTION public.unnest(TEXT[]) RETURNS SETOF TEXT LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$called$$; END';
CREATE FUNCTION other(JSONB, JSONB) RETURNS TEXT LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$called$$; END';
CREATE OPERATOR public.->> (FUNCTION = other, LEFTARG = JSONB, RIGHTARG = JSONB);
CALL completes(1, 30, '"z"');
CALL completes(7, 30, '"z"');
SELECT concat_ws(' ', b.posting, b.results -> 'send') FROM old_states b WHERE b.results ? 'send' ORDER BY b.posting
-- = 1 "z"
-- = 7 "z"

-- # the_triggers_of_a_cutover_work_for_no_other_table

CREATE TABLE bait (LIKE old_states);
CREATE TRIGGER bait AFTER INSERT ON bait FOR EACH ROW EXECUTE FUNCTION cutover_old_changed();
INSERT INTO bait (posting) VALUES (1)
-- ! 42501

CREATE TABLE bait (aggregate_id INT, aggregate_type TEXT, event_type TEXT);
CREATE TRIGGER bait BEFORE INSERT ON bait FOR EACH ROW EXECUTE FUNCTION cutover_hold_old();
INSERT INTO bait VALUES (1)
-- ! 42501

-- # a_column_that_gets_another_name_stops_no_older_program

ALTER TABLE old_states RENAME step TO stage

UPDATE old_states SET stage = 'review' WHERE posting = 1 RETURNING stage
-- = review

CALL completes(1, 30)
-- ! ES010 give it its name back: ALTER TABLE public.old_states RENAME COLUMN … TO step

ALTER TABLE old_states RENAME stage TO step;
ALTER TABLE old_states RENAME posting TO number

INSERT INTO old_states (number, step) VALUES (3, 'draft');
UPDATE old_states SET number = 4 WHERE number = 3;
DELETE FROM old_states WHERE number = 4

CALL completes(1, 30)
-- ! ES010 TO posting

SELECT string_agg(d.kind, ' ') FROM cutover_open_discrepancies d
-- = import_refused import_refused

ALTER TABLE old_states RENAME number TO posting

-- do validate

SELECT d.kind FROM cutover_open_discrepancies d WHERE d.posting_id IS NOT NULL
-- = current_differs

-- # a_column_that_is_dropped_with_what_is_bound_to_it_stops_no_older_program

ALTER TABLE old_states DROP COLUMN done CASCADE;
UPDATE old_states SET step = 'send' WHERE posting = 1;
INSERT INTO old_states (posting, step) VALUES (7, 'draft');
SELECT concat_ws(' ', d.posting_id, d.kind, d.new) FROM cutover_discrepancies d ORDER BY d.posting_id
-- = 1 import_refused relation "public.cutover_old_states" does not exist
-- = 7 import_refused relation "public.cutover_old_states" does not exist
