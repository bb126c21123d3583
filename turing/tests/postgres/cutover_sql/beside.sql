-- # first

CREATE TABLE old_states (posting INT PRIMARY KEY, step INT, note TEXT);
INSERT INTO old_states SELECT n, 10, '' FROM generate_series(1, 9) n;
INSERT INTO postings (posting_id) SELECT generate_series(1, 20);
CREATE PROCEDURE completes(posting INT, conversation INT) LANGUAGE sql AS $$
    SELECT append_event('llm_call_completed', posting, '{}', jsonb_build_object('conversation_id', conversation))
$$;
INSERT INTO cutovers (phase, mapping) VALUES (1, '{"schema": "public", "table": "old_states", "posting_id": "posting", "current": "step"}')

-- do create

-- do dual-write

-- do backfill

-- # an_event_is_refused_while_somebody_writes_the_old_row

-- @old
BEGIN;
UPDATE old_states SET step = 20 WHERE posting = 1

CALL completes(1, 30)
-- ! 40001 the old row of posting 1 is being written by another transaction; try again

CALL completes(2, 30)

-- @old
COMMIT

CALL completes(1, 30);
SELECT string_agg(e.event_type, ' ' ORDER BY e.aggregate_version) FROM execution_events e WHERE e.aggregate_id = 1
-- = posting_state_imported posting_state_imported llm_call_completed

-- # a_writer_of_the_old_table_waits_for_an_event_and_goes_on

BEGIN;
CALL completes(1, 30)

-- @old waits
UPDATE old_states SET step = 20, note = note || step WHERE posting = 1

COMMIT

-- @old goes on

SELECT format('%s %s %s', b.step, b.note, p.current_conversation_id)
FROM old_states b JOIN posting_state_projection p ON p.posting_id = b.posting WHERE b.posting = 1
-- = 20 30 20

-- # a_circle_ends_with_the_writer_of_events

-- @old
BEGIN;
UPDATE old_states SET step = 20 WHERE posting = 1

BEGIN;
CALL completes(2, 30)

-- @old waits
UPDATE old_states SET step = 20 WHERE posting = 2

CALL completes(1, 30)
-- ! 40001

ROLLBACK

-- @old goes on

-- @old
COMMIT

SELECT string_agg(format('%s %s', p.posting_id, p.current_conversation_id), ', ' ORDER BY p.posting_id)
FROM posting_state_projection p WHERE p.posting_id IN (1, 2)
-- = 1 20, 2 20

SELECT d.kind FROM cutover_differences(NULL) d
-- = none

-- # an_event_is_refused_while_somebody_inserts_removes_or_renumbers_the_old_row

-- @old
BEGIN;
INSERT INTO old_states VALUES (11, 20, '');
DELETE FROM old_states WHERE posting = 1;
UPDATE old_states SET posting = 12 WHERE posting = 2

CALL completes(11, 30)
-- ! 40001

CALL completes(1, 30)
-- ! 40001

CALL completes(2, 30)
-- ! 40001

CALL completes(12, 30)
-- ! 40001

-- @old
COMMIT

SELECT d.kind FROM cutover_differences(NULL) d
-- = none

-- # an_old_row_that_is_made_waits_for_the_first_event_of_its_posting

BEGIN;
CALL completes(11, 30)

-- @old waits
INSERT INTO old_states VALUES (11, 20, 'old') ON CONFLICT (posting) DO UPDATE SET step = excluded.step, note = excluded.note

COMMIT

-- @old goes on

SELECT format('%s %s', b.note, p.current_conversation_id)
FROM old_states b JOIN posting_state_projection p ON p.posting_id = b.posting WHERE b.posting = 11
-- = old 20

-- # writers_of_the_old_table_wait_for_one_another_as_before

-- @old
BEGIN;
UPDATE old_states SET step = 20 WHERE posting = 1

-- @other waits
INSERT INTO old_states VALUES (1, 30, '') ON CONFLICT (posting) DO UPDATE SET step = excluded.step

-- @old
INSERT INTO old_states VALUES (1, 40, '') ON CONFLICT (posting) DO UPDATE SET note = 'mine'

-- @old
COMMIT

-- @other goes on

SELECT format('%s %s', b.step, b.note) FROM old_states b WHERE b.posting = 1
-- = 30 mine

-- # an_event_waits_for_no_lock_on_the_old_table

-- @old
BEGIN;
LOCK TABLE old_states IN ACCESS EXCLUSIVE MODE

CALL completes(1, 30)
-- ! 40001 the table public.old_states is locked by another transaction; try again

-- @old
ROLLBACK

CALL completes(1, 30)

-- # a_backfill_ends_before_a_row_that_somebody_writes_and_waits_only_for_its_first

-- @old
BEGIN;
UPDATE old_states SET note = 'x' WHERE posting = 3

SELECT b::text FROM cutover_backfill(NULL, 100) b
-- = (2,2,0,0,0)

-- @backfill waits
SELECT b::text FROM cutover_backfill(2, 100) b

-- @old
COMMIT

-- @backfill goes on
-- = (9,7,0,0,0)

-- # nobody_waits_for_somebody_who_resolves

-- @old
BEGIN;
UPDATE old_states SET note = 'x' WHERE posting = 3

SELECT cutover_write_old('{1,2,3}')
-- ! 40001

SELECT cutover_write_old('{1,2}')
-- = 0

-- # who_writes_by_the_view_is_refused_if_the_row_has_changed_since

-- do switch-reads

-- @old
BEGIN;
UPDATE old_states SET note = 'first' WHERE posting = 1

-- @other waits
UPDATE old_states SET note = note || ' second' WHERE posting = 1

-- @old
COMMIT

-- @other goes on
-- ! 40001 the old row of posting 1 has changed since the statement began; try again

-- @other
UPDATE old_states SET note = note || ' second' WHERE posting = 1 RETURNING note
-- = first second

-- # who_sees_the_database_as_it_was_before_the_cutover_tries_again

-- do undo-dual-write

-- do undo-create

-- @old
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM postings

-- @new
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(*) FROM postings

-- do create

-- do dual-write

-- @old
UPDATE old_states SET step = 20 WHERE posting = 1
-- ! 40001 this transaction began before the cutover, and does not see it; try again

-- @new
CALL completes(2, 20)
-- ! 40001 this transaction began before the cutover, and does not see it; try again

-- # who_sees_the_events_as_they_were_before_tries_again

-- @old
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM postings

DO $$ BEGIN PERFORM append_event('posting_terminal', 1, '{"reason": "done"}'); END $$

-- @old
UPDATE old_states SET step = 20 WHERE posting = 1
-- ! 40001

-- @old
ROLLBACK

SELECT d.kind FROM cutover_discrepancies d
-- = none

-- # nothing_is_written_to_a_deprecated_table_by_who_sees_it_as_it_was_before

-- do switch-reads

-- @old
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM postings

-- do deprecate

-- @old
UPDATE old_states SET step = 20 WHERE posting = 1
-- ! 55000 old_states is deprecated
