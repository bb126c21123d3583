-- a transaction that holds the lock of a run is idle for as long as the run takes, and nothing that
-- the server, the database or the role has set must end it
SET LOCAL idle_in_transaction_session_timeout = 0;
SET LOCAL lock_timeout = '1s';
SELECT pg_catalog.set_config(name, '0', TRUE)
FROM pg_catalog.pg_settings
WHERE name = 'transaction_timeout';
