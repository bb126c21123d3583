-- $1 posting id
--
-- An application's own table may leave data out.
SELECT coalesce(data, '{}')::text
FROM "{schema}".postings
WHERE posting_id = $1
