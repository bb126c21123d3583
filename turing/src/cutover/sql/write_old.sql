-- $1 postings
SELECT "{schema}".cutover_write_old($1)
