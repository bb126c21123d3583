-- $1 mapping
SELECT "{schema}".cutover_columns($1::jsonb)
