-- the log locked
-- 42501: nobody, strangers, reader, writer, projector
LOCK TABLE public.execution_events IN ACCESS EXCLUSIVE MODE;

-- the log locked as writers lock it, which holds back who follows it
-- 42501: nobody, strangers, reader, writer, projector
LOCK TABLE public.execution_events IN ROW EXCLUSIVE MODE;

-- the log locked as readers lock it
-- 42501: nobody, strangers
-- allowed: reader, writer, projector: as any SELECT does; only changes of the table wait
LOCK TABLE public.execution_events IN ACCESS SHARE MODE;

-- events locked
-- 42501: nobody, strangers, reader, writer, projector
SELECT * FROM public.execution_events FOR UPDATE;

-- events locked a little
-- 42501: nobody, strangers, reader, writer, projector
SELECT * FROM public.execution_events FOR KEY SHARE;

-- states locked, on which appends wait
-- 42501: nobody, strangers, reader, writer, projector
SELECT * FROM public.posting_state_projection FOR UPDATE;

-- states locked by the function that repairs them
-- 42501: nobody, strangers, reader, writer
-- allowed: projector: a repair locks what it repairs; appends to these postings wait for the end of its transaction
SELECT public.rebuild_posting_state(1);

-- the table of states locked, on which all appends wait
-- 42501: nobody, strangers, reader, writer, projector
LOCK TABLE public.posting_state_projection;

-- postings locked, on which registering waits
-- 42501: nobody, strangers, reader, writer, projector
LOCK TABLE public.postings IN EXCLUSIVE MODE;

-- the frontier that is written down, locked
-- 42501: nobody, strangers, reader, writer, projector
SELECT * FROM public.execution_events_watermark FOR UPDATE;

-- the same by the function that raises it
-- 42501: nobody, strangers, reader
-- allowed: writer, projector: others pass it by and leave what is written down as it is until its transaction ends
SELECT public.execution_events_raise_watermark();

-- models locked
-- 42501: nobody, strangers, reader, writer
-- allowed: projector: keeping read models is its work
SELECT * FROM public.execution_events_projection_models FOR UPDATE;

-- an event in a transaction that stays open
-- 42501: nobody, strangers, reader, projector
-- allowed: writer: as any append does until its transaction ends; blockers name its session
INSERT INTO public.execution_events (aggregate_type, aggregate_id, aggregate_version, event_type, event_data) SELECT 'posting', 1, 3, 'circuit_breaker_open', '{}' FROM pg_sleep(0);

-- the lock of migrations, or of a run
-- allowed: nobody, strangers, reader, writer, projector: the server knows no rights on advisory locks; who shall not hold them must not connect
SELECT pg_advisory_xact_lock(4711);

-- programs woken up for nothing
-- allowed: nobody, strangers, reader, writer, projector: the server knows no rights on NOTIFY; who shall not must not connect
SELECT pg_notify('es_events_' || (SELECT oid FROM pg_class WHERE relname = 'execution_events'), '');

-- the session of a program ended
-- 42501: nobody, strangers, reader, writer, projector
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'turing_owner_login' AND pid <> pg_backend_pid();

-- the index rebuilt, which locks
-- 42501: nobody, strangers, reader, writer, projector
DROP INDEX public.unique_aggregate_version;

-- the log looked at by a statement that is only prepared, which holds up who changes the table
-- 42501: nobody, strangers
-- allowed: reader, writer, projector: as any SELECT does
PREPARE z AS SELECT FROM public.execution_events;
DEALLOCATE z;

-- an INSERT that is only prepared, which holds back who follows the log until its transaction ends
-- 42501: nobody, strangers
-- allowed: reader, writer, projector: the server asks for the right when it is executed; projection list names the session
PREPARE z AS INSERT INTO public.execution_events DEFAULT VALUES;
DEALLOCATE z;

-- the same where registering waits
-- 42501: nobody, strangers
-- allowed: reader, writer, projector: the server asks for the right when it is executed; who registers gives up after 10 s
PREPARE z AS INSERT INTO public.assigned_postings DEFAULT VALUES;
DEALLOCATE z;
