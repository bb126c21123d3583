-- an event by append_event
-- 42501: nobody, strangers, reader, projector
-- allowed: writer: appending is its work, whatever the event says
SELECT public.append_event('circuit_breaker_open', 1);

-- an event by the store's function
-- 42501: nobody, strangers, reader, projector
-- allowed: writer: appending is its work, whatever the event says
SELECT public.execution_events_append(ARRAY['posting'], ARRAY[1], ARRAY[1], ARRAY[1], ARRAY[-1::bigint], ARRAY[1], NULL, NULL, ARRAY[1], ARRAY[1], ARRAY[gen_random_uuid()], ARRAY['circuit_breaker_open'], ARRAY['{}'::jsonb], ARRAY[NULL::jsonb], now());

-- an event by INSERT
-- 42501: nobody, strangers, reader, projector
-- allowed: writer: appending is its work, whatever the event says
INSERT INTO public.execution_events (aggregate_type, aggregate_id, aggregate_version, event_type, event_data) VALUES ('posting', 1, 3, 'circuit_breaker_open', '{}');

-- an event of another type of stream
-- 42501: nobody, strangers, reader, projector
-- allowed: writer: it writes every stream of the store; types that must be kept apart need stores of their own
INSERT INTO public.execution_events (aggregate_type, aggregate_id, aggregate_version, event_type, event_data) VALUES ('workflow_run', 9, 1, 'circuit_breaker_open', '{}');

-- an event that says it is old
-- 42501: nobody, strangers, reader, projector
-- allowed: writer: programs say when they recorded an event, versions and positions decide the order
INSERT INTO public.execution_events (aggregate_type, aggregate_id, aggregate_version, event_type, event_data, created_at) VALUES ('posting', 1, 3, 'circuit_breaker_open', '{}', '2001-01-01');

-- an event in place of another
-- 42501: nobody, strangers, reader, projector
-- 23505: writer
INSERT INTO public.execution_events (aggregate_type, aggregate_id, aggregate_version, event_type, event_data) VALUES ('posting', 1, 1, 'circuit_breaker_open', '{}');

-- an event in place of another, by ON CONFLICT
-- 42501: nobody, strangers, reader, writer, projector
-- ES002: owner
INSERT INTO public.execution_events (aggregate_type, aggregate_id, aggregate_version, event_type, event_data) VALUES ('posting', 1, 1, 'circuit_breaker_open', '{}') ON CONFLICT ON CONSTRAINT unique_aggregate_version DO UPDATE SET event_type = 'forged';

-- an event of a posting that nobody registered
-- 42501: nobody, strangers, reader, projector
-- 23503: writer, owner
INSERT INTO public.execution_events (aggregate_type, aggregate_id, aggregate_version, event_type, event_data) VALUES ('posting', 999, 1, 'circuit_breaker_open', '{}');

-- an event at a position of one's own
-- 42501: nobody, strangers
-- 428C9: reader, writer, projector, owner
INSERT INTO public.execution_events (position, aggregate_type, aggregate_id, aggregate_version, event_type, event_data) VALUES (1, 'posting', 1, 3, 'circuit_breaker_open', '{}');

-- an event at a position of one's own, for once
-- 42501: nobody, strangers, reader, writer, projector
-- ES007: owner
INSERT INTO public.execution_events (position, aggregate_type, aggregate_id, aggregate_version, event_type, event_data) OVERRIDING SYSTEM VALUE VALUES (900, 'posting', 1, 3, 'circuit_breaker_open', '{}');

-- events from a file
-- 42501: nobody, strangers, reader, writer, projector
COPY public.execution_events FROM '/dev/null';

-- the data of an event
-- 42501: nobody, strangers, reader, writer, projector
-- ES002: owner
UPDATE public.execution_events SET event_data = '{}';

-- the time of an event
-- 42501: nobody, strangers, reader, writer, projector
-- ES002: owner
UPDATE public.execution_events SET created_at = '2001-01-01';

-- the event away
-- 42501: nobody, strangers, reader, writer, projector
-- ES002: owner
DELETE FROM public.execution_events;

-- the event away, as part of something else
-- 42501: nobody, strangers, reader, writer, projector
-- ES002: owner
WITH gone AS (DELETE FROM public.execution_events RETURNING 1) SELECT count(*) FROM gone;

-- all events away
-- 42501: nobody, strangers, reader, writer, projector
-- ES002: owner
TRUNCATE public.execution_events;

-- all events away, with everything that hangs on them
-- 42501: nobody, strangers, reader, writer, projector
-- ES002: owner
TRUNCATE public.execution_events RESTART IDENTITY CASCADE;

-- the next positions over again
-- 42501: nobody, strangers, reader, writer, projector
SELECT setval('public.execution_events_position_seq', 1);

-- positions drawn for nothing
-- 42501: nobody, strangers, reader, writer, projector
SELECT nextval('public.execution_events_position_seq');

-- a state
-- 42501: nobody, strangers, reader, writer, projector
UPDATE public.posting_state_projection SET is_terminal = TRUE;

-- a part of a state
-- 42501: nobody, strangers, reader, writer, projector
UPDATE public.posting_state_rows SET is_terminal = TRUE;

-- a part of a state that has moved out of its row
-- 42501: nobody, strangers, reader, writer, projector
DELETE FROM public.posting_state_values;

-- a state rebuilt
-- 42501: nobody, strangers, reader, writer
-- allowed: projector: keeping and repairing what is derived is its work
SELECT public.rebuild_posting_state(1);

-- a state folded by the trigger's own function
-- 42501: nobody, strangers, reader, writer, projector
SELECT public.advance_posting_states(ARRAY[1]);

-- a kept state
-- 42501: nobody, strangers, reader
-- allowed: writer, projector: they keep states; one that is not what its events say is told by validate_event_store
INSERT INTO public.posting_state_snapshots (posting_id, event_sequence, state) VALUES (1, 2, '{}');

-- a kept state of another type
-- 42501: nobody, strangers, reader, projector
-- allowed: writer: it keeps states
INSERT INTO public.execution_events_snapshots (aggregate_type, aggregate_id, aggregate_version, schema, created_at, state) VALUES ('workflow_run', 1, 1, 'x', now(), '{}');

-- a row of a projection
-- 42501: nobody, strangers, reader, writer
-- allowed: projector: keeping read models is its work
INSERT INTO public.execution_events_projection_rows (generation, key, value) VALUES (1, 'x', '{}');

-- a model
-- 42501: nobody, strangers, reader, writer
-- allowed: projector: keeping read models is its work
INSERT INTO public.execution_events_projection_models (projection, slot, fingerprint) VALUES ('x', 'active', '');

-- a lease taken by the function
-- 42501: nobody, strangers, reader, writer
-- allowed: projector: keeping read models is its work
SELECT public.execution_events_projection_acquire('y', 'shadow', 'v1', 2, 'me', 1);

-- a posting registered
-- 42501: nobody, strangers, reader, projector
-- allowed: writer: registering is its work
INSERT INTO public.postings (posting_id) VALUES (77);

-- the content of a posting
-- 42501: nobody, strangers, reader, writer, projector
UPDATE public.postings SET data = '{}';

-- a posting away
-- 42501: nobody, strangers, reader, writer, projector
DELETE FROM public.postings;

-- the number of a posting that was given one
-- 42501: nobody, strangers, reader, projector
-- allowed: writer: the lock by which programs that register wait for one another needs the right to update; it gives the numbers anyway
UPDATE public.assigned_postings SET posting_id = 1;

-- a migration that never was
-- 42501: nobody, strangers, reader, writer, projector
INSERT INTO public.turing_migrations VALUES (999, 'x', now(), TRUE, '', 0);

-- a migration forgotten
-- 42501: nobody, strangers, reader, writer, projector
DELETE FROM public.execution_events_migrations;
