-- $1 posting id
--
-- One row, whether there is such a posting or not. An application's own table may leave data out.
SELECT (
    SELECT coalesce(p.data, '{}')::text
    FROM "{schema}".postings p
    WHERE p.posting_id = $1
)
