-- $1 behind which position
SELECT DISTINCT e.aggregate_id
FROM "{schema}"."{events}" e
WHERE e.position > $1
    AND e.aggregate_type = 'posting'
ORDER BY e.aggregate_id
