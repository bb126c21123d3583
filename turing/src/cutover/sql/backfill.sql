-- $1 behind which posting, or null, $2 how many
SELECT b.last, b.seen, b.imported, b.written_back, b.refused FROM "{schema}".cutover_backfill($1, $2) b
