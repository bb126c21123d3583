-- A function that everybody may execute can be made the trigger of a table of one's own, and runs on
-- what stands there. So nobody may who was not granted it; triggers need no such right to fire.
DO $$
DECLARE
    made REGPROCEDURE;
BEGIN
    FOR made IN
        SELECT p.oid
        FROM pg_catalog.pg_proc p
        WHERE p.pronamespace = '"{schema}"'::regnamespace
            AND p.proname = ANY (ARRAY[
                '{events}_refuse', '{events}_append', '{events}_append_within', '{events}_frontier',
                '{events}_projection_now', '{events}_projection_commit', '{events}_projection_remove',
                '{events}_projection_acquire', '{events}_projection_switch', '{events}_projection_abandon'
            ])
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', made);
    END LOOP;
END;
$$;

CREATE OR REPLACE FUNCTION "{schema}"."{events}_refuse"() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_RELID <> '"{schema}"."{events}"'::regclass THEN
        RAISE EXCEPTION 'the trigger % is of the table {events} and not of %', TG_NAME, TG_RELID::regclass
            USING ERRCODE = 'ES005';
    END IF;
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'ES002', HINT = 'append an event that says what has changed';
END;
$$;

-- It fires in sessions that replicate, too: what comes from another server is inserted only.
ALTER TABLE "{schema}"."{events}" ENABLE ALWAYS TRIGGER "{events}_are_append_only";
