-- A table of migrations whose trigger would run as whoever migrates.
CREATE FUNCTION public.planted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'planted'; END $$;
CREATE TABLE public.{table} (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMPTZ NOT NULL DEFAULT now(),
    success BOOLEAN NOT NULL,
    checksum BYTEA NOT NULL,
    execution_time BIGINT NOT NULL
);
GRANT ALL ON public.{table} TO PUBLIC;
CREATE TRIGGER planted BEFORE INSERT ON public.{table} FOR EACH ROW EXECUTE FUNCTION public.planted();
