-- # a_mapping_that_fits_has_no_problem

CREATE TABLE old_states (
    posting INT PRIMARY KEY, step TEXT, results JSON, steps_done TEXT[], finished BOOLEAN, changed TIMESTAMP, done SMALLINT
);
SELECT m.problem FROM cutover_check_mapping('{
    "schema": "public", "table": "old_states", "posting_id": "posting", "current": "step", "outputs": "results",
    "history": "steps_done", "terminal": "finished", "updated_at": "changed", "counter": "done",
    "steps": {"draft": 10, "review": 20}
}'::jsonb) m
-- = none

-- # a_column_that_is_not_there_is_told_with_the_nearest_one

CREATE TABLE old_states (posting INT PRIMARY KEY, current_step TEXT, results JSONB);
SELECT m.key || ': ' || m.problem || '; ' || m.cure FROM cutover_check_mapping(
    '{"schema": "public", "table": "old_states", "posting_id": "posting", "current": "curent_step", "outputs": "nothing_like_it"}'
) m ORDER BY m.key COLLATE "C"
-- = current: public.old_states has no column curent_step; did you mean current_step?
-- = outputs: public.old_states has no column nothing_like_it; it has posting, current_step, results

SELECT m.problem || '; ' || m.cure FROM cutover_check_mapping('{"schema": "public", "table": "old_sattes", "posting_id": "posting"}') m
-- = there is no table public.old_sattes; did you mean old_states?

SELECT m.problem || '; ' || m.cure FROM cutover_check_mapping('{"schema": "elsewhere", "table": "old_states", "posting_id": "posting"}') m
-- = there is no table elsewhere.old_states; there is no such schema either: name the one of the table

-- # a_column_that_does_not_fit_is_told_with_what_would

CREATE TABLE old_states (posting INT, step BYTEA, finished TEXT, twice JSONB, made JSONB GENERATED ALWAYS AS (twice) STORED);
SELECT m.key || ': ' || m.problem FROM cutover_check_mapping('{
    "schema": "public", "table": "old_states", "posting_id": "posting", "current": "step", "outputs": "made",
    "history": "twice", "terminal": "finished", "counter": "twice", "history_key": "step", "steps": {"draft": "ten"}
}') m ORDER BY (m.key || m.problem) COLLATE "C"
-- = counter: the column twice is of the type jsonb, and not an integer
-- = current: the column step is of the type bytea, and not an integer or a text
-- = history: the column twice is mapped twice
-- = outputs: the column made is generated, so no state of the events can be written into it
-- = posting_id: the column posting is not unique, so a posting could have several states
-- = posting_id: the column posting may be null
-- = steps: the step draft is no number of a conversation: "ten"
-- = terminal: the column finished is of the type text, and not boolean

SELECT m.key || ': ' || m.problem FROM cutover_check_mapping('{"schema": "public", "table": "old_states", "history_key": "x"}') m
ORDER BY m.key COLLATE "C"
-- = history_key: it is the key of objects, and the history has none
-- = posting_id: no column is named for the id of the posting
-- = table: no column of it is mapped to a part of a posting's state

-- # what_is_no_ordinary_table_is_refused

CREATE VIEW a_view AS SELECT 1 AS posting, 2 AS step;
CREATE TABLE in_parts (posting INT PRIMARY KEY, step INT) PARTITION BY RANGE (posting);
CREATE TABLE a_part PARTITION OF in_parts FOR VALUES FROM (1) TO (9);
CREATE TABLE guarded (posting INT PRIMARY KEY, step INT);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE TABLE ruled (posting INT PRIMARY KEY, step INT);
CREATE RULE away AS ON DELETE TO ruled DO INSTEAD NOTHING;
CREATE TABLE taken (posting INT PRIMARY KEY, step INT);
CREATE TABLE taken_deprecated ();
SELECT t.name || ': ' || m.problem
FROM unnest('{a_view,in_parts,a_part,guarded,ruled,taken,postings,execution_events}'::text[]) t (name)
CROSS JOIN LATERAL cutover_check_mapping(
    jsonb_build_object('schema', 'public', 'table', t.name, 'posting_id', 'posting', 'current', 'step')
) m
WHERE m.key = 'table'
ORDER BY (t.name || m.problem) COLLATE "C"
-- = a_part: public.a_part is a part of other tables, or has parts: triggers and reads would not be of the same rows
-- = a_view: public.a_view is a view, and no ordinary table
-- = execution_events: public.execution_events is a table of the store itself
-- = guarded: row security is on for public.guarded: triggers and views would not see every row
-- = in_parts: public.in_parts is a part of other tables, or has parts: triggers and reads would not be of the same rows
-- = in_parts: public.in_parts is a partitioned table, and no ordinary table
-- = postings: public.postings is a table of the store itself
-- = ruled: public.ruled has rules, which would do something else in place of a write
-- = taken: public.taken_deprecated is there, and the old table gets that name later

-- # another_table_has_another_digest

CREATE TABLE old_states (posting INT PRIMARY KEY, step TEXT, note VARCHAR(9));
INSERT INTO cutovers (phase, mapping) VALUES (1, '{"schema": "public", "table": "old_states", "posting_id": "posting", "current": "step"}')

-- do create

ALTER TABLE old_states SET (fillfactor = 70);
SELECT cutover_columns(c.mapping) = c.columns_digest FROM cutovers c
-- = t

ALTER TABLE old_states ALTER note TYPE VARCHAR(10);
SELECT cutover_columns(c.mapping) = c.columns_digest FROM cutovers c
-- = f

DROP TABLE old_states CASCADE;
CREATE TABLE old_states (posting INT PRIMARY KEY, step TEXT, note VARCHAR(9));
SELECT cutover_columns(c.mapping) IS NULL OR cutover_columns(c.mapping) = c.columns_digest FROM cutovers c
-- = t

-- # what_should_be_known_before_is_told

CREATE TABLE old_states (posting INT PRIMARY KEY, step TEXT CHECK (step <> ''), batch INT NOT NULL);
CREATE INDEX by_step ON old_states (step);
CREATE VIEW theirs AS SELECT * FROM old_states;
CREATE MATERIALIZED VIEW kept AS SELECT * FROM old_states;
CREATE TABLE below (posting INT REFERENCES old_states);
CREATE FUNCTION upsert() RETURNS void LANGUAGE sql AS
    'INSERT INTO old_states VALUES (1, ''a'', 1) ON CONFLICT (posting) DO UPDATE SET step = excluded.step';
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touch BEFORE UPDATE ON old_states FOR EACH ROW EXECUTE FUNCTION touch();
SELECT rtrim(left(m.problem, 40)) FROM cutover_warnings(
    '{"schema": "public", "table": "old_states", "posting_id": "posting", "current": "step"}'
) m
WHERE m.problem NOT LIKE '%a program uses%'
-- = foreign key below_posting_fkey on public
-- = materialized view public.kept is bound t
-- = view public.theirs is bound to the table
-- = column batch has no default, may not be
-- = constraint old_states_step_check of the
-- = trigger touch of the table also runs whe
-- = index public.by_step has the column step
-- = function public.upsert() has INSERT … ON

-- # a_table_that_is_published_and_a_step_that_may_not_be_null_are_told_before

CREATE TABLE old_states (posting INT PRIMARY KEY, step TEXT NOT NULL DEFAULT '');
CREATE PUBLICATION theirs FOR TABLE old_states;
SELECT m.key || ': ' || rtrim(left(m.problem, 40)) FROM cutover_warnings(
    '{"schema": "public", "table": "old_states", "posting_id": "posting", "current": "step"}'
) m
WHERE m.problem NOT LIKE '%a program uses%'
-- = current: column step may not be null, and a posti
-- = table: publication theirs has it: from switch-r

-- # a_trigger_that_waits_for_the_end_of_the_transaction_is_refused

CREATE TABLE old_states (posting INT PRIMARY KEY, step TEXT);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON old_states DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION touch();
CREATE CONSTRAINT TRIGGER prompt AFTER UPDATE ON old_states FOR EACH ROW EXECUTE FUNCTION touch();
SELECT m.key || ': ' || m.problem || '; ' || m.cure FROM cutover_check_mapping(
    '{"schema": "public", "table": "old_states", "posting_id": "posting", "current": "step"}'
) m
-- = table: trigger late of public.old_states can wait for the end of the transaction, where it has other rights and another search_path; DROP TRIGGER late ON public.old_states, and CREATE TRIGGER late AFTER … ON public.old_states FOR EACH ROW EXECUTE FUNCTION public.touch()
