-- $1 posting, $2 kind, $3 which side counts, $4 why
SELECT "{schema}".cutover_resolve($1, $2, $3, $4)
