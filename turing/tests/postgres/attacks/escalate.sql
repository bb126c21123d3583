-- the trigger's rights by a table of one's own, whose type has a cast that runs one's own code
-- 42501: nobody, strangers, reader, writer, projector
CREATE TYPE pg_temp.evil AS (a int);
CREATE FUNCTION pg_temp.pwn(pg_temp.evil) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    ALTER TABLE public.execution_events DISABLE TRIGGER ALL;
    DELETE FROM public.execution_events;
    RETURN 1;
END $$;
CREATE CAST (pg_temp.evil AS int) WITH FUNCTION pg_temp.pwn(pg_temp.evil) AS IMPLICIT;
CREATE TEMP TABLE bait (aggregate_type text, aggregate_id int, aggregate_version pg_temp.evil, event_data jsonb);
CREATE TRIGGER t AFTER INSERT ON bait REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.project_posting_events();
INSERT INTO bait VALUES ('posting', 1, ROW(1)::pg_temp.evil, '{}');

-- the same with an ENUM
-- 42501: nobody, strangers, reader, writer, projector
CREATE TYPE pg_temp.evil AS ENUM ('x');
CREATE FUNCTION pg_temp.pwn(pg_temp.evil) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM public.execution_events;
    RETURN 1;
END $$;
CREATE CAST (pg_temp.evil AS int) WITH FUNCTION pg_temp.pwn(pg_temp.evil) AS IMPLICIT;
CREATE TEMP TABLE bait (aggregate_type text, aggregate_id int, aggregate_version pg_temp.evil, event_data jsonb);
CREATE TRIGGER t AFTER INSERT ON bait REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.project_posting_events();
INSERT INTO bait VALUES ('posting', 1, 'x', '{}');

-- states written by a table of one's own
-- 42501: nobody, strangers, reader, writer, projector
CREATE TEMP TABLE bait (aggregate_type text, aggregate_id int, aggregate_version int, event_data jsonb);
CREATE TRIGGER t AFTER INSERT ON bait REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.project_posting_events();
INSERT INTO bait (aggregate_type, aggregate_id, aggregate_version) VALUES ('posting', 1, 1);

-- the refusing trigger on a table of one's own
-- 42501: nobody, strangers, reader, writer, projector
CREATE TEMP TABLE bait (x int);
CREATE TRIGGER t BEFORE UPDATE ON bait FOR EACH STATEMENT EXECUTE FUNCTION public.execution_events_refuse();

-- the trigger's function called
-- 42501: nobody, strangers, reader, writer, projector
SELECT public.project_posting_events();

-- tables of the session in front of the store's
-- 42501: nobody, strangers, reader, projector
-- allowed: writer: the functions see the store's tables all the same, and the event is an ordinary one
CREATE TEMP TABLE execution_events (position bigint);
CREATE TEMP TABLE posting_state_projection (posting_id int);
SELECT public.append_event('circuit_breaker_open', 1);

-- operators and functions in front of the server's, for those who run with the owner's rights
-- 42501: nobody, strangers, reader, projector
-- allowed: writer: nothing of the kind is looked at, and the event is an ordinary one
CREATE FUNCTION pg_temp.wrong(int, int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'pwned as %', current_user USING ERRCODE = 'XXPWN'; END $$;
CREATE OPERATOR pg_temp.= (LEFTARG = int, RIGHTARG = int, FUNCTION = pg_temp.wrong);
CREATE FUNCTION pg_temp.coalesce_max(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 1/0';
SET search_path = pg_temp, pg_catalog, public;
SELECT public.append_event('circuit_breaker_open', 1);

-- a trigger on the log
-- 42501: nobody, strangers, reader, writer, projector
CREATE FUNCTION pg_temp.pwn() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER t BEFORE INSERT ON public.execution_events FOR EACH ROW EXECUTE FUNCTION pg_temp.pwn();

-- a trigger on the states, which the owner writes
-- 42501: nobody, strangers, reader, writer, projector
CREATE FUNCTION pg_temp.pwn() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER t BEFORE INSERT ON public.posting_state_rows FOR EACH ROW EXECUTE FUNCTION pg_temp.pwn();

-- the same on the view of them
-- 42501: nobody, strangers, reader, writer, projector
CREATE FUNCTION pg_temp.pwn() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER t INSTEAD OF DELETE ON public.posting_state_projection FOR EACH ROW EXECUTE FUNCTION pg_temp.pwn();

-- the view's trigger on a view of one's own
-- 42501: nobody, strangers, reader, writer, projector
CREATE TEMP VIEW bait AS SELECT 1 AS posting_id;
CREATE TRIGGER t INSTEAD OF INSERT ON bait FOR EACH ROW EXECUTE FUNCTION public.write_posting_state_projection();

-- triggers off
-- 42501: nobody, strangers, reader, writer, projector
-- allowed: owner: it can repair a store, so it can break one; validate_event_store tells of it
ALTER TABLE public.execution_events DISABLE TRIGGER ALL;

-- triggers passed by
-- 42501: nobody, strangers, reader, writer, projector, owner
SET session_replication_role = replica;

-- a function in the store's schema
-- 42501: nobody, strangers, reader, writer, projector
CREATE FUNCTION public.posting_states(int[], text, boolean) RETURNS int LANGUAGE sql AS 'SELECT 1';

-- a table in the store's schema
-- 42501: nobody, strangers, reader, writer, projector
CREATE TABLE public.theirs (x int);

-- a function of the store replaced
-- 42501: nobody, strangers, reader, writer, projector
CREATE OR REPLACE FUNCTION public.posting_state_schema() RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$;

-- a function of the store changed
-- 42501: nobody, strangers, reader, writer, projector
ALTER FUNCTION public.project_posting_events() RESET search_path;

-- a schema of one's own
-- 42501: nobody, strangers, reader, writer, projector
CREATE SCHEMA theirs;

-- the log dropped
-- 42501: nobody, strangers, reader, writer, projector
DROP TABLE public.execution_events CASCADE;

-- the log given away
-- 42501: nobody, strangers, reader, writer, projector
ALTER TABLE public.execution_events OWNER TO CURRENT_USER;

-- rights handed on
-- 42501: nobody, strangers
-- allowed: reader, writer, projector: nothing is given, since the rights came without the option; the server warns
GRANT ALL ON public.execution_events TO PUBLIC;

-- membership of the owner
-- 42501: nobody, strangers, reader, writer, projector
SET ROLE turing_owner;

-- membership of the writer
-- 42501: nobody, strangers, reader, projector
-- allowed: writer: it is a member
SET ROLE turing_writer;

-- membership handed on
-- 42501: nobody, strangers, reader, writer, projector
GRANT turing_owner TO CURRENT_USER;

-- superuser
-- 42501: nobody, strangers, reader, writer, projector, owner
ALTER ROLE CURRENT_USER SUPERUSER;

-- the session of somebody else
-- 42501: nobody, strangers, reader, writer, projector, owner
SET SESSION AUTHORIZATION postgres;

-- a role
-- 42501: nobody, strangers, reader, writer, projector
CREATE ROLE theirs SUPERUSER LOGIN;

-- a setting for everybody
-- 42501: nobody, strangers, reader, writer, projector, owner
ALTER ROLE ALL SET synchronous_commit = off;

-- an untrusted language
-- 42501: nobody, strangers, reader, writer, projector
CREATE FUNCTION pg_temp.pwn() RETURNS int LANGUAGE c AS 'x';

-- large objects
-- allowed: nobody, strangers, reader, writer, projector: they are the session's own; who shall not fill the disk must not connect
SELECT lo_from_bytea(0, '\x00');

-- tables of the session
-- allowed: nobody, strangers, reader, writer, projector: PUBLIC has TEMPORARY unless it was taken away; who shall not fill the disk must not connect
CREATE TEMP TABLE own AS SELECT 1;
