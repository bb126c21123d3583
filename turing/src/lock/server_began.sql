-- When the server began, in microseconds: with whoever ran before, it lost all locks.
SELECT (pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()) * 1000000)::bigint
