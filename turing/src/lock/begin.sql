-- what the server, the database or the role has set must not end the transaction, nor let it keep a
-- snapshot
BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL idle_in_transaction_session_timeout = 0;
SET LOCAL lock_timeout = '1s';
SELECT pg_catalog.set_config(name, '0', TRUE)
FROM pg_catalog.pg_settings
WHERE name = 'transaction_timeout';
