-- events
-- 42501: nobody, strangers
-- allowed: reader, writer, projector: looking is their work
SELECT * FROM public.execution_events;

-- events by a function
-- 42501: nobody, strangers
-- allowed: reader, writer, projector: looking is their work
SELECT * FROM public.get_aggregate_events('posting', 1);

-- states
-- 42501: nobody, strangers
-- allowed: reader, writer, projector: looking is their work
SELECT * FROM public.posting_state_projection;

-- kept states
-- 42501: nobody, strangers
-- allowed: reader, writer, projector: looking is their work
SELECT * FROM public.posting_state_snapshots;

-- contents of postings
-- 42501: nobody, strangers
-- allowed: reader, writer, projector: looking is their work
SELECT * FROM public.postings;

-- rows of projections
-- 42501: nobody, strangers
-- allowed: reader, writer, projector: looking is their work
SELECT * FROM public.execution_events_projection_active;

-- how far the log goes
-- 42501: nobody, strangers
-- allowed: reader, writer, projector: who reads the log needs it
SELECT * FROM public.execution_events_frontier();

-- how many positions were drawn
-- 42501: nobody, strangers
-- allowed: reader, writer, projector: a look for the end of the log asks it
SELECT last_value FROM public.execution_events_position_seq;

-- a validation, which reads everything
-- 42501: nobody, strangers
-- allowed: reader, writer, projector: looking is their work
SELECT * FROM public.validate_event_store();

-- out into a file of the server
-- 42501: nobody, strangers, reader, writer, projector
COPY public.execution_events TO '/tmp/stolen';

-- out into a program of the server
-- 42501: nobody, strangers, reader, writer, projector
COPY (SELECT 1) TO PROGRAM 'cat';

-- a file of the server
-- 42501: nobody, strangers, reader, writer, projector
SELECT pg_read_file('PG_VERSION');

-- a file of the server as a large object
-- 42501: nobody, strangers, reader, writer, projector
SELECT lo_import('PG_VERSION');

-- passwords of the server
-- 42501: nobody, strangers, reader, writer, projector
SELECT rolpassword FROM pg_authid;

-- samples of the values in the tables
-- allowed: nobody, strangers, reader, writer, projector: the view leaves out columns that one may not read
SELECT * FROM pg_stats WHERE tablename = 'execution_events';

-- what the planner's samples say, from their own table
-- 42501: nobody, strangers, reader, writer, projector
SELECT * FROM pg_statistic;

-- the text of the functions
-- allowed: nobody, strangers, reader, writer, projector: the catalogues of a database are open to who may connect, and the text is published
SELECT prosrc FROM pg_proc WHERE proname = 'append_event';
