-- As in step 17, but what was drawn is read into a variable first. Within the condition it is a function
-- that may answer otherwise for each row: no bound of an index, so the whole index was read for each INSERT.
--
-- What was drawn is read again only where something stands behind it: then what others have drawn and
-- committed meanwhile is no fault.
CREATE OR REPLACE FUNCTION "{schema}"."{events}_check_sequence"() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
    sequence CONSTANT REGCLASS := pg_get_serial_sequence('"{schema}"."{events}"', 'position');
    drawn CONSTANT BIGINT := pg_sequence_last_value(sequence);
    newest BIGINT;
BEGIN
    IF TG_RELID <> '"{schema}"."{events}"'::regclass THEN
        RAISE EXCEPTION 'the trigger % is of the table {events} and not of %', TG_NAME, TG_RELID::regclass
            USING ERRCODE = 'ES005';
    END IF;
    SELECT e.position INTO newest
    FROM "{schema}"."{events}" e
    WHERE e.position > drawn
    ORDER BY e.position DESC
    LIMIT 1;
    IF newest > pg_sequence_last_value(sequence) THEN
        RAISE EXCEPTION
            'the sequence % stands at % and the newest event at %: an event would stand where readers do '
            'not look any more', sequence, pg_sequence_last_value(sequence), newest
            USING ERRCODE = 'ES007', HINT =
                'while nobody writes: SELECT setval(''' || sequence || ''', max(position)) '
                'FROM "{schema}"."{events}"; what was written there meanwhile is found by rebuilding '
                'projections';
    END IF;
    RETURN NULL;
END;
$$;
