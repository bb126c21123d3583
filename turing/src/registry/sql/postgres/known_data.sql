-- $1 posting ids
--
-- An application's own table may leave data out.
SELECT posting_id, coalesce(data, '{}')::text
FROM "{schema}".postings
WHERE posting_id = ANY ($1)
