-- $1 a cursor beyond the known end of the log
--
-- True if an event at or after it is there already, as while an older transaction holds the log back.
SELECT EXISTS (
    SELECT
    FROM "{schema}"."{events}" e
    WHERE e.position = $1
) OR EXISTS (
    SELECT
    FROM "{schema}"."{events}" e
    WHERE e.position > $1
)
