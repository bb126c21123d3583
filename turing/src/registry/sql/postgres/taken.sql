-- $1 posting id before the first, $2 how many ids are wanted
--
-- The ids among which so many free ones are found that are taken.
SELECT posting_id
FROM "{schema}".postings
WHERE posting_id > $1
    AND posting_id <= $1::bigint + $2::bigint + (
        SELECT count(*)
        FROM "{schema}".postings
        WHERE posting_id > $1
    )
