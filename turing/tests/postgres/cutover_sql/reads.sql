-- # first

CREATE TABLE old_states (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    posting INT PRIMARY KEY,
    step VARCHAR(20) COLLATE "C",
    results JSON,
    steps_done TEXT,
    finished BOOLEAN NOT NULL DEFAULT FALSE,
    changed TIMESTAMPTZ DEFAULT now(),
    done INT,
    ticket INT DEFAULT 7,
    doubled INT GENERATED ALWAYS AS (ticket * 2) STORED,
    price NUMERIC(10, 2)
);
INSERT INTO old_states (posting, step, results, steps_done, changed, done) VALUES
    (1, 'draft', '{"draft": "x"}', '[{"s": "draft", "by": "ada"}]', '2020-01-01 00:00+00', 1),
    (2, NULL, NULL, NULL, NULL, NULL);
INSERT INTO postings (posting_id) SELECT generate_series(1, 9);
CREATE PROCEDURE completes(posting INT, conversation INT, output JSONB DEFAULT 'null') LANGUAGE sql AS $$
    SELECT append_event(
        'llm_call_completed', posting, jsonb_build_object('output', output), jsonb_build_object('conversation_id', conversation)
    )
$$;
CREATE VIEW shapes AS
SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod) AS type, a.attcollation
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relname IN ('old_states', 'old_states_base') AND a.attnum > 0 AND NOT a.attisdropped;
INSERT INTO cutovers (phase, mapping) VALUES (1, '{
    "schema": "public", "table": "old_states", "posting_id": "posting", "current": "step", "outputs": "results",
    "history": "steps_done", "history_key": "s", "terminal": "finished", "updated_at": "changed", "counter": "done",
    "steps": {"draft": 10, "review": 20, "send": 30}
}')

-- do create

-- do dual-write

-- do backfill

-- # the_view_has_the_columns_of_the_table_in_their_order_and_types

-- do switch-reads

SELECT count(*) || ' ' || count(*) FILTER (WHERE b.type = v.type AND b.attcollation = v.attcollation)
FROM shapes b LEFT JOIN shapes v ON v.relname = 'old_states' AND v.attnum = b.attnum AND v.attname = b.attname
WHERE b.relname = 'old_states_base'
-- = 11 11

-- # reads_come_from_the_events

-- do switch-reads

CALL completes(1, 30, '{"a": 1}');
ALTER TABLE old_states_base DISABLE TRIGGER cutover_import_old;
UPDATE old_states_base SET step = 'review', results = NULL, steps_done = '[{"s": "send", "by": "bob"}]', finished = TRUE, done = 9, price = 3
WHERE posting = 1;
ALTER TABLE old_states_base ENABLE ALWAYS TRIGGER cutover_import_old;
SELECT to_jsonb(v) - 'changed' FROM old_states v WHERE v.posting = 1
-- = {"id": 1, "done": 2, "step": "send", "price": 3.00, "ticket": 7, "doubled": 14, "posting": 1, "results": {"send": {"a": 1}, "draft": "x"}, "finished": false, "steps_done": "[{\"s\": \"draft\"}, {\"s\": \"send\", \"by\": \"bob\"}]"}

-- # a_row_of_which_the_events_know_nothing_is_shown_as_it_is

INSERT INTO old_states (posting, step, results) VALUES (3, 'nowhere', '[1]')

-- do switch-reads

SELECT format('%s %s %s %s', v.posting, v.step, v.results, v.changed IS NULL) FROM old_states v WHERE v.posting <> 1 ORDER BY v.posting
-- = 2   t
-- = 3 nowhere [1] f

-- # rows_of_the_view_can_be_locked

-- do switch-reads

BEGIN;
SELECT v.posting FROM old_states v WHERE v.posting = 1 FOR UPDATE
-- = 1

-- @other
SELECT v.posting FROM old_states v WHERE v.step = 'draft' FOR UPDATE SKIP LOCKED
-- = none

ROLLBACK

-- # what_is_written_to_the_view_is_in_the_table_and_in_the_events

-- do switch-reads

INSERT INTO old_states (posting, step, price) VALUES (3, 'draft', 1.5)
RETURNING concat_ws(' ', id, posting, step, results, steps_done, finished, done, ticket, doubled, price, changed > '2026-01-01')
-- = 3 3 draft {} [] f 0 7 14 1.50 t

UPDATE old_states SET step = 'send', results = '{"review": "r"}', steps_done = '[{"s": "review", "by": "eve"}]', price = price * 2
WHERE posting = 3
RETURNING concat_ws(' ', step, results, steps_done, done, price)
-- = send {"review": "r"} [{"s": "review", "by": "eve"}] 1 3.00

UPDATE old_states SET posting = 4 WHERE posting = 3 RETURNING posting
-- = 4

DELETE FROM old_states WHERE posting = 4 RETURNING step
-- = send

UPDATE old_states v SET ticket = x.ticket FROM (VALUES (1, 70), (2, 80)) x (posting, ticket)
WHERE v.posting = x.posting RETURNING v.posting || ' ' || v.doubled
-- = 1 140
-- = 2 160

UPDATE old_states SET step = 'draft' WHERE posting = 99;
DELETE FROM old_states WHERE posting = 99;
SELECT d.kind FROM cutover_differences(NULL) d
-- = none

SELECT string_agg(e.aggregate_id || ' ' || (e.event_data ->> 'current_conversation_id'), ', ' ORDER BY e.position)
FROM execution_events e WHERE e.event_type = 'posting_state_imported'
-- = 1 10, 3 10, 3 30, 4 30

-- # the_view_refuses_what_the_table_refuses

ALTER TABLE old_states ADD CONSTRAINT cheap CHECK (price < 100)

-- do switch-reads

INSERT INTO old_states (posting) VALUES (1)
-- ! 23505 INSERT … ON CONFLICT is taken by the table, and not by the view: public.old_states_base

INSERT INTO old_states (posting, price) VALUES (3, 100)
-- ! 23514 cheap

UPDATE old_states SET finished = NULL WHERE posting = 1
-- ! 23502

UPDATE old_states SET step = repeat('x', 21) WHERE posting = 1
-- ! 22001

INSERT INTO old_states (posting, doubled) VALUES (3, 4)
-- ! 428C9

UPDATE old_states SET doubled = 5 WHERE posting = 1
-- ! 428C9

-- # upserts_have_a_place_before_and_after_the_switch

INSERT INTO old_states_base (posting, step) VALUES (1, 'review') ON CONFLICT (posting) DO UPDATE SET step = excluded.step
RETURNING step
-- = review

-- do switch-reads

INSERT INTO old_states (posting, step) VALUES (1, 'review') ON CONFLICT (posting) DO UPDATE SET step = excluded.step
-- ! 42P10

INSERT INTO old_states_base (posting, step) VALUES (1, 'send'), (5, 'send') ON CONFLICT (posting) DO UPDATE SET step = excluded.step;
SELECT string_agg(format('%s %s', v.posting, v.step), ', ' ORDER BY v.posting) FROM old_states v WHERE v.step IS NOT NULL
-- = 1 send, 5 send

-- do undo-switch-reads

INSERT INTO old_states_base (posting, step) VALUES (1, 'draft') ON CONFLICT (posting) DO UPDATE SET step = excluded.step
RETURNING step
-- = draft

-- # what_read_the_table_reads_the_view_and_back

CREATE VIEW theirs WITH (security_barrier) AS SELECT posting, step FROM old_states WHERE NOT finished;
CREATE VIEW above AS SELECT count(*) AS open FROM theirs;
COMMENT ON VIEW theirs IS 'theirs';
CREATE VIEW reads AS
SELECT DISTINCT c.relname::text AS read
FROM pg_depend d
JOIN pg_rewrite r ON r.oid = d.objid AND r.ev_class = 'theirs'::regclass
JOIN pg_class c ON c.oid = d.refobjid
WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND c.relname LIKE 'old!_%' ESCAPE '!';
SELECT read FROM reads
-- = old_states

-- do switch-reads

SELECT read || ' ' || open || ' ' || array_to_string(c.reloptions, ',') || ' ' || obj_description(c.oid)
FROM reads, above, pg_class c WHERE c.oid = 'theirs'::regclass
-- = old_states 2 security_barrier=true theirs

SELECT count(*) FROM pg_class c WHERE c.relname = 'old_states' AND c.relkind = 'v'
-- = 1

-- do undo-switch-reads

SELECT read || ' ' || open || ' ' || array_to_string(c.reloptions, ',') FROM reads, above, pg_class c WHERE c.oid = 'theirs'::regclass
-- = old_states 2 security_barrier=true

SELECT count(*) FROM pg_class c WHERE c.relname = 'old_states' AND c.relkind = 'r'
-- = 1

-- # nothing_is_deprecated_while_something_is_bound_to_the_table

CREATE MATERIALIZED VIEW kept AS SELECT * FROM old_states;
CREATE TABLE below (posting INT REFERENCES old_states);
CREATE FUNCTION counts() RETURNS BIGINT LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM old_states; END

-- do switch-reads

SELECT cutover_statements('deprecate')
-- ! 2BP01 public.old_states_base is bound to by what would go on with a table that nobody writes any more: foreign key below_posting_fkey on public.below, function public.counts(), materialized view public.kept

DROP MATERIALIZED VIEW kept;
CREATE MATERIALIZED VIEW kept AS SELECT * FROM old_states;
DROP FUNCTION counts();
ALTER TABLE below DROP CONSTRAINT below_posting_fkey

-- do deprecate

SELECT count(*) FROM kept
-- = 2

-- # a_deprecated_table_is_read_from_the_events_and_written_by_nobody

-- do switch-reads

-- do deprecate

CALL completes(1, 30);
CALL completes(3, 20);
SELECT format('%s %s %s %s', v.posting, coalesce(v.step, '-'), v.done, v.ticket) FROM old_states v ORDER BY v.posting
-- = 1 send 2 7
-- = 2 -  7
-- = 3 review 1

SELECT format('%s %s', b.step, b.done) FROM old_states_deprecated b WHERE b.posting = 1
-- = draft 1

SELECT v.changed > '2026-01-01' FROM old_states v WHERE v.posting = 1
-- = t

UPDATE old_states SET step = 'draft' WHERE posting = 1
-- ! 55000 turing cutover rollback

INSERT INTO old_states (posting) VALUES (7)
-- ! 55000

DELETE FROM old_states
-- ! 55000

SELECT dual_write('llm_call_completed', 1)
-- ! ES009 public.old_states is deprecated

SELECT cutover_write_old(array_agg(d.posting_id)) FROM cutover_differences(NULL) d
-- = 2

-- do undo-deprecate

UPDATE old_states SET step = 'draft' WHERE posting = 3;
SELECT format('%s %s %s', v.posting, v.step, v.ticket) FROM old_states v WHERE v.posting IN (1, 3) ORDER BY v.posting
-- = 1 send 7
-- = 3 draft 7

SELECT d.kind FROM cutover_differences(NULL) d
-- = none

-- # a_dropped_table_leaves_its_states

CREATE VIEW theirs AS SELECT posting, step, price FROM old_states

-- do switch-reads

-- do deprecate

-- do drop

SELECT to_jsonb(v) - 'changed' FROM old_states v
-- = {"id": null, "done": 1, "step": "draft", "price": null, "ticket": null, "doubled": null, "posting": 1, "results": {"draft": "x"}, "finished": false, "steps_done": "[{\"s\": \"draft\"}]"}

SELECT step FROM theirs
-- = draft

SELECT count(*) FROM pg_class c WHERE c.relname IN ('old_states_base', 'old_states_deprecated', 'cutover_old_states')
-- = 0

SELECT f.kind FROM validate_event_store() f
-- = none

-- # rights_on_the_table_are_rights_on_the_view

GRANT SELECT (posting, step), UPDATE (step) ON old_states TO PUBLIC;
GRANT SELECT, DELETE ON old_states TO pg_monitor WITH GRANT OPTION;
CREATE VIEW rights AS
SELECT string_agg(format('%s%s %s %s', a.privilege_type, ' ' || a.attname, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, a.is_grantable), ', '
    ORDER BY a.attname, a.privilege_type) AS all
FROM (
    SELECT NULL AS attname, g.* FROM pg_class c, aclexplode(c.relacl) g WHERE c.relname = 'old_states' AND g.grantee <> c.relowner
    UNION ALL
    SELECT t.attname::text, g.* FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid, aclexplode(t.attacl) g WHERE c.relname = 'old_states'
) a;
CREATE TABLE before AS SELECT * FROM rights

-- do switch-reads

SELECT r.all = b.all AND r.all LIKE '%DELETE pg_monitor t%' FROM rights r, before b
-- = t

GRANT INSERT ON old_states TO pg_monitor

-- do undo-switch-reads

SELECT r.all LIKE '%INSERT pg_monitor f%' FROM rights r
-- = t

-- # each_action_is_undone_without_a_trace

CREATE VIEW everything AS
SELECT format('%s %s %s %s', c.relname, c.relkind, c.relowner, c.relacl) AS thing FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind <> 'i' AND c.relname NOT IN ('everything', 'seen')
UNION ALL SELECT format('%s %s %s', t.tgrelid::regclass, t.tgname, t.tgenabled) FROM pg_trigger t WHERE NOT t.tgisinternal
UNION ALL SELECT format('%s %s', p.oid::regprocedure, p.proacl) FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace;
CREATE TABLE seen (phase TEXT, thing TEXT);
INSERT INTO seen SELECT 'dual-write', thing FROM everything

-- do switch-reads

INSERT INTO seen SELECT 'switch-reads', thing FROM everything

-- do deprecate

-- do undo-deprecate

(SELECT thing FROM everything EXCEPT SELECT thing FROM seen WHERE phase = 'switch-reads')
UNION ALL (SELECT thing FROM seen WHERE phase = 'switch-reads' EXCEPT SELECT thing FROM everything)
-- = none

-- do undo-switch-reads

(SELECT thing FROM everything EXCEPT SELECT thing FROM seen WHERE phase = 'dual-write')
UNION ALL (SELECT thing FROM seen WHERE phase = 'dual-write' EXCEPT SELECT thing FROM everything)
-- = none

-- do undo-dual-write

-- do undo-create

-- do create

-- do dual-write

(SELECT thing FROM everything EXCEPT SELECT thing FROM seen WHERE phase = 'dual-write')
UNION ALL (SELECT thing FROM seen WHERE phase = 'dual-write' EXCEPT SELECT thing FROM everything)
-- = none

-- # what_groups_by_the_primary_key_alone_stays_with_the_table

CREATE VIEW counted AS SELECT o.posting, o.ticket, count(*) FROM old_states o GROUP BY o.posting

-- do switch-reads

SELECT c.count FROM counted c WHERE c.posting = 1
-- = 1

-- do deprecate
-- ! 2BP01 view public.counted

-- # the_name_of_a_view_of_theirs_is_in_nobodys_way_back

CREATE VIEW old_states_view AS SELECT 1 AS one

-- do switch-reads

-- do undo-switch-reads

SELECT v.one FROM old_states_view v
-- = 1

-- # a_domain_that_refuses_nulls_lets_a_posting_be_read_that_began_in_the_events

CREATE DOMAIN label AS TEXT NOT NULL DEFAULT 'x'; ALTER TABLE old_states ADD COLUMN labelled label

-- do switch-reads

-- do deprecate

CALL completes(5, 10); SELECT concat_ws(' ', v.step, coalesce(v.labelled::text, 'none')) FROM old_states v WHERE v.posting = 5
-- = draft none

-- # an_action_takes_locks_in_the_order_of_writers_and_reads_no_rows

SELECT a.action
FROM unnest('{dual-write,undo-dual-write,switch-reads,undo-switch-reads,deprecate,undo-deprecate,drop}'::text[]) a (action)
CROSS JOIN LATERAL (
    SELECT
        min(s.place) FILTER (WHERE s.statement ~ '^(CREATE OR REPLACE|ALTER) VIEW [a-z.]*old_states( AS| RENAME)') AS of_view,
        min(s.place) FILTER (WHERE s.statement ~ '^LOCK TABLE [a-z.]*old_states') AS of_table,
        min(s.place) FILTER (WHERE s.statement ~ '^LOCK TABLE .*execution_events') AS of_events,
        bool_or(s.statement ~ '^(SELECT|INSERT|DELETE|WITH|COPY)') AS reads
    FROM cutover_statements(a.action) WITH ORDINALITY s (statement, place)
) s
WHERE s.reads
    OR s.of_table IS NULL
    OR s.of_view > s.of_table AND a.action <> 'switch-reads'
    OR s.of_table > s.of_events
-- = none
