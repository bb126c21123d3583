-- tried while somebody appends, and with a short lock_timeout: 55P03 is one who waits for the lock, and
-- whom everybody waits for who comes after

-- a rule, for which appends and reads wait
-- 42501: nobody, strangers
-- 55P03: reader, writer, projector
CREATE RULE z AS ON INSERT TO public.execution_events DO INSTEAD NOTHING;

-- a trigger, for which appends wait
-- 42501: nobody, strangers
-- 55P03: reader, writer, projector
CREATE TRIGGER z BEFORE INSERT ON public.execution_events FOR EACH ROW EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger();

-- a table of one's own that refers to the log
-- 42501: nobody, strangers
-- 55P03: reader, writer, projector
CREATE TEMP TABLE z (e uuid REFERENCES public.execution_events);

-- a partition of one's own
-- 42501: nobody, strangers
-- 55P03: reader, writer, projector
CREATE TABLE pg_temp.z PARTITION OF public.execution_events DEFAULT;

-- the same at the states, which every append writes
-- 42501: nobody, strangers
-- 55P03: reader, writer, projector
CREATE RULE z AS ON INSERT TO public.posting_state_rows DO INSTEAD NOTHING;
