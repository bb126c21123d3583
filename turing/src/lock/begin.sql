-- what the server, the database or the role has set must not end the transaction, nor let it keep a
-- snapshot; a host that is gone is noticed within about 20 s, and the lock let go
BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL idle_in_transaction_session_timeout = 0;
SET LOCAL tcp_keepalives_idle = 10;
SET LOCAL tcp_keepalives_interval = 5;
SET LOCAL tcp_keepalives_count = 2;
SET LOCAL tcp_user_timeout = 20000;
SET LOCAL lock_timeout = '1s';
SELECT pg_catalog.set_config(name, '0', TRUE)
FROM pg_catalog.pg_settings
WHERE name = 'transaction_timeout';
