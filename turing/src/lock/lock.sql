-- $1 what kind of lock, $2 workflow, $3 schema of the store
SELECT pg_catalog.pg_advisory_xact_lock($1 # pg_catalog.hashtext($3), $2)
