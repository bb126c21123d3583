-- What the server can send, for rows that are written from now on: one whose text is beyond a message of
-- the server's could not be read by anybody, and not be removed either. Small values are not looked into;
-- as text, 8 KiB of numbers are about 64 MiB at most.
ALTER TABLE "{schema}"."{events}"
    ADD CONSTRAINT event_data_has_64_mib_of_text_at_most
        CHECK (pg_column_size(event_data) <= 8192 OR octet_length(event_data::text) <= 67108864) NOT VALID,
    ADD CONSTRAINT metadata_has_64_mib_of_text_at_most
        CHECK (pg_column_size(metadata) <= 8192 OR octet_length(metadata::text) <= 67108864) NOT VALID;

-- As before, also where the sequence was told what to draw next and has not drawn since: after
-- ALTER SEQUENCE … RESTART, or setval() with is_called FALSE, only the sequence itself tells it.
CREATE OR REPLACE FUNCTION "{schema}"."{events}_drawn"() RETURNS BIGINT
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
    sequence CONSTANT REGCLASS := pg_get_serial_sequence('"{schema}"."{events}"', 'position');
    drawn BIGINT;
BEGIN
    IF has_sequence_privilege(sequence, 'SELECT') THEN
        drawn := pg_sequence_last_value(sequence);
        IF drawn IS NULL THEN
            EXECUTE format('SELECT s.last_value - CASE WHEN s.is_called THEN 0 ELSE 1 END FROM %s s', sequence)
            INTO drawn;
        END IF;
        RETURN drawn;
    END IF;
    RETURN (SELECT coalesce(max(e.position), 0) FROM "{schema}"."{events}" e);
END;
$$;

-- Whoever inserts, whatever session_replication_role says: a restore or a replication may leave it at
-- replica for a database or a role.
ALTER TABLE "{schema}"."{events}" ENABLE ALWAYS TRIGGER "{events}_check_sequence";
