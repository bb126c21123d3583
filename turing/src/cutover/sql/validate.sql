-- $1 behind which posting, or null, $2 how many
SELECT v.last, v.seen, v.open FROM "{schema}".cutover_validate($1, $2) v
