-- A position that is drawn while the sequence is behind its table, as after a restore without the values of
-- sequences, stands where those who follow the log have passed. Looking at the log and opening the store
-- tell of it; an INSERT is refused, whoever makes it, so that nothing is acknowledged there.
--
-- What was drawn is read after what is visible, and again only where something stands behind it: then it is
-- no race. No row of an open transaction is passed over, because none stands behind what was drawn.
CREATE FUNCTION "{schema}"."{events}_check_sequence"() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
    sequence CONSTANT REGCLASS := pg_get_serial_sequence('"{schema}"."{events}"', 'position');
    newest BIGINT;
BEGIN
    IF TG_RELID <> '"{schema}"."{events}"'::regclass THEN
        RAISE EXCEPTION 'the trigger % is of the table {events} and not of %', TG_NAME, TG_RELID::regclass
            USING ERRCODE = 'ES005';
    END IF;
    SELECT e.position INTO newest
    FROM "{schema}"."{events}" e
    WHERE e.position > pg_sequence_last_value(sequence)
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

REVOKE EXECUTE ON FUNCTION "{schema}"."{events}_check_sequence"() FROM PUBLIC;

CREATE TRIGGER "{events}_check_sequence"
AFTER INSERT ON "{schema}"."{events}"
FOR EACH STATEMENT EXECUTE FUNCTION "{schema}"."{events}_check_sequence"();
