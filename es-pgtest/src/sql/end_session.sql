-- $1 session
SELECT pg_terminate_backend($1)
