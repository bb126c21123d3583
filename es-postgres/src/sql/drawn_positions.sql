-- How far the sequence of positions has drawn, null if this user may not know, and the newest position
-- of an event. The order matters: a sequence goes on at once, a table as of the statement's beginning.
SELECT
    s.name,
    CASE
        WHEN has_sequence_privilege(s.name, 'SELECT, USAGE')
            THEN coalesce(pg_sequence_last_value(s.name::regclass), 0)
    END AS drawn,
    (SELECT coalesce(max(position), 0) FROM "{schema}"."{events}") AS newest
FROM pg_get_serial_sequence('"{schema}"."{events}"', 'position') s (name)
