-- $1 posting id
--
-- An application's own table may leave data out.
SELECT coalesce(data, '{}')
FROM "{schema}".postings
WHERE posting_id = $1
