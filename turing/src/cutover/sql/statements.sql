-- $1 what is to be done
SELECT s.statement
FROM "{schema}".cutover_statements($1) WITH ORDINALITY s (statement, place)
ORDER BY s.place
