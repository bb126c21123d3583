-- $1 what kind of lock, $2 workflow
SELECT pg_catalog.pg_advisory_xact_lock($1, $2)
