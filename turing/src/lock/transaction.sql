-- What tells the transaction that is open from every other one.
SELECT pg_catalog.pg_backend_pid(), pg_catalog.transaction_timestamp()::text
