-- What should guard the table of events and does not: triggers that are off, or that a session can
-- leave out, and a sequence of positions that is behind the table.
--
-- As before, with the trigger that refuses rows that could not be read back.
CREATE OR REPLACE FUNCTION "{schema}".unguarded_events()
RETURNS TABLE (kind TEXT, detail TEXT, repair TEXT)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    positions TEXT := pg_get_serial_sequence('"{schema}"."{events}"', 'position');
    newest BIGINT;
BEGIN
    RETURN QUERY
    SELECT
        'trigger_disabled',
        CASE
            WHEN t.tgname IS NULL THEN
                format('the trigger %s of the table {events} is not there', w.name)
            WHEN t.tgenabled = 'O' THEN
                format('the trigger %s of the table {events} does not work where session_replication_role is replica', w.name)
            ELSE format('the trigger %s of the table {events} does not work', w.name)
        END,
        CASE
            WHEN t.tgname IS NULL THEN
                format('CREATE TRIGGER %I %s; ', w.name, w.definition)
            ELSE ''
        END || format('ALTER TABLE "{schema}"."{events}" ENABLE ALWAYS TRIGGER %I', w.name)
    FROM (VALUES
        (
            'project_posting_events',
            'AFTER INSERT ON "{schema}"."{events}" REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION "{schema}".project_posting_events()'
        ),
        (
            '{events}_are_append_only',
            'BEFORE UPDATE OR DELETE OR TRUNCATE ON "{schema}"."{events}" FOR EACH STATEMENT EXECUTE FUNCTION "{schema}"."{events}_refuse"()'
        ),
        (
            '{events}_check_row',
            'AFTER INSERT OR UPDATE ON "{schema}"."{events}" FOR EACH ROW EXECUTE FUNCTION "{schema}"."{events}_check_row"()'
        ),
        (
            '{events}_check_sequence',
            'AFTER INSERT ON "{schema}"."{events}" FOR EACH STATEMENT EXECUTE FUNCTION "{schema}"."{events}_check_sequence"()'
        )
    ) w (name, definition)
    LEFT JOIN pg_trigger t ON t.tgrelid = '"{schema}"."{events}"'::regclass AND t.tgname = w.name
    WHERE t.tgenabled IS DISTINCT FROM 'A';

    -- as of the view of this call: what is drawn meanwhile is only more
    SELECT coalesce(max(e.position), 0) INTO newest FROM "{schema}"."{events}" e;
    IF has_sequence_privilege(positions, 'SELECT, USAGE') THEN
        RETURN QUERY
        SELECT
            'sequence_behind',
            format('the sequence %s is at %s and the newest event at %s: new events would get positions that readers have passed', positions, d.drawn, newest),
            'SELECT setval(pg_get_serial_sequence(''"{schema}"."{events}"'', ''position''), max(position)) FROM "{schema}"."{events}"'
        FROM (SELECT coalesce(pg_sequence_last_value(positions::regclass), 0) AS drawn) d
        WHERE d.drawn < newest;
    END IF;
END;
$$;
