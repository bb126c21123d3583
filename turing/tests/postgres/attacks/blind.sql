-- who reads is told that the log ends far ahead
-- 42501: nobody, strangers, reader, writer, projector
UPDATE public.execution_events_watermark SET position = 9000000000000000;

-- the same by another row
-- 42501: nobody, strangers, reader, writer, projector
INSERT INTO public.execution_events_watermark (position) VALUES (9000000000000000);

-- who reads is told that the log has not begun
-- 42501: nobody, strangers, reader, writer, projector
DELETE FROM public.execution_events_watermark;

-- rows hidden from others
-- 42501: nobody, strangers, reader, writer, projector
ALTER TABLE public.execution_events ENABLE ROW LEVEL SECURITY;

-- rows hidden by a policy
-- 42501: nobody, strangers, reader, writer, projector
CREATE POLICY hide ON public.execution_events USING (FALSE);

-- rows hidden by a rule
-- 42501: nobody, strangers, reader, writer, projector
CREATE RULE hide AS ON INSERT TO public.execution_events DO INSTEAD NOTHING;

-- parked events forgotten
-- 42501: nobody, strangers, reader, writer
-- allowed: projector: keeping read models is its work
DELETE FROM public.execution_events_projection_parked;

-- a model forgotten
-- 42501: nobody, strangers, reader, writer
-- allowed: projector: keeping read models is its work
SELECT public.execution_events_projection_abandon('x');

-- a checkpoint far ahead
-- 42501: nobody, strangers, reader, writer
-- allowed: projector: keeping read models is its work
UPDATE public.execution_events_projection_slices SET position = 9000000000000000;
