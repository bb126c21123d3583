-- $1 mapping
SELECT m.key, m.problem, m.cure
FROM "{schema}".cutover_check_mapping($1::jsonb) m
