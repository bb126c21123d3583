-- $1 database
SELECT pg_terminate_backend(pid, 10000)
FROM pg_stat_activity
WHERE datname = $1
