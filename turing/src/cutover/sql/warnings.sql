-- $1 mapping
SELECT w.key, w.problem, w.cure
FROM "{schema}".cutover_warnings($1::jsonb) w
