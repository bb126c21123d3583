-- $1 what kind of lock, $2 schema of the store
SELECT pg_catalog.pg_try_advisory_xact_lock($1 # pg_catalog.hashtext($2), 1)
