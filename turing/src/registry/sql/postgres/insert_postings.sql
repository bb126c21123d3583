-- $1 posting ids, $2 their data
INSERT INTO "{schema}".postings (posting_id, data)
SELECT posting_id, data::jsonb
FROM unnest($1::int[], $2::text[]) p (posting_id, data)
