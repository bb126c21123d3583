-- what pgbench runs: each client's n-th event, ten to a posting; the documents are sent with each
\set n :n + 1
\set posting :client_id * 10000000 + (:n - 1) / 10
\set version (:n - 1) % 10 + 1
\set id :client_id * 100000000 + :n
INSERT INTO events (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata, created_at) VALUES (('019a0000-0000-7000-8000-' || lpad(to_hex(:id::bigint), 12, '0'))::uuid, 'posting', :posting, :version::int, 'script_execution_completed', :data, :metadata, now());
