-- $1 the number of the lock of those who migrate
SELECT pg_advisory_xact_lock($1)
