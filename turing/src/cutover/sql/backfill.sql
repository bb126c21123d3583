-- $1 behind which posting, or null, $2 how many at most; it ends after 40 ms, too: who writes one of them waits
-- for the end of the transaction
SELECT b.last, b.seen, b.imported, b.written_back, b.refused FROM "{schema}".cutover_backfill($1, $2, pg_catalog.make_interval(secs => 0.04)) b
