-- the log locked
-- 42501: nobody, strangers, reader, writer, projector
LOCK TABLE execution_events IN ACCESS EXCLUSIVE MODE;

-- the log locked as writers lock it, which holds back who follows it
-- 42501: nobody, strangers, reader, writer, projector
LOCK TABLE execution_events IN ROW EXCLUSIVE MODE;

-- the log locked as readers lock it
-- 42501: nobody, strangers
-- allowed: reader, writer, projector: as any SELECT does; only changes of the table wait
LOCK TABLE execution_events IN ACCESS SHARE MODE;

-- events locked
-- 42501: nobody, strangers, reader, writer, projector
SELECT * FROM execution_events FOR UPDATE;

-- events locked a little
-- 42501: nobody, strangers, reader, writer, projector
SELECT * FROM execution_events FOR KEY SHARE;

-- states locked, on which appends wait
-- 42501: nobody, strangers, reader, writer
-- allowed: projector: a repair locks what it repairs; appends to these postings wait for the end of its transaction
SELECT * FROM posting_state_projection FOR UPDATE;

-- the table of states locked, on which all appends wait
-- 42501: nobody, strangers, reader, writer
-- allowed: projector: who may change a table may lock it, and the server offers nothing in between; appends wait for the end of its transaction
LOCK TABLE posting_state_projection;

-- postings locked, on which registering waits
-- 42501: nobody, strangers, reader, writer, projector
LOCK TABLE postings IN EXCLUSIVE MODE;

-- the frontier that is written down, locked
-- 42501: nobody, strangers, reader, writer, projector
SELECT * FROM execution_events_watermark FOR UPDATE;

-- models locked
-- 42501: nobody, strangers, reader, writer
-- allowed: projector: keeping read models is its work
SELECT * FROM execution_events_projection_models FOR UPDATE;

-- an event in a transaction that stays open
-- 42501: nobody, strangers, reader, projector
-- allowed: writer: as any append does until its transaction ends; idle_in_transaction_session_timeout on its login bounds it
INSERT INTO execution_events (aggregate_type, aggregate_id, aggregate_version, event_type, event_data) SELECT 'posting', 1, 3, 'note_added', '{}' FROM pg_sleep(0);

-- the lock of migrations, or of a run
-- allowed: nobody, strangers, reader, writer, projector: the server knows no rights on advisory locks; who shall not hold them must not connect
SELECT pg_advisory_xact_lock(4711);

-- programs woken up for nothing
-- allowed: nobody, strangers, reader, writer, projector: the server knows no rights on NOTIFY; who shall not must not connect
SELECT pg_notify('es_events_' || to_regclass('execution_events')::oid, '');

-- the session of a program ended
-- 42501: nobody, strangers, reader, writer, projector
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'turing_owner_login' AND pid <> pg_backend_pid();

-- the index rebuilt, which locks
-- 42501: nobody, strangers, reader, writer, projector
DROP INDEX unique_aggregate_version;
