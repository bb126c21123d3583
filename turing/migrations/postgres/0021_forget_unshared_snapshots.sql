-- Kept states of postings are in posting_state_snapshots, for programs as well as for SQL. Those that
-- programs kept elsewhere before are looked at by nobody; they are a cache.
DELETE FROM "{schema}"."{events}_snapshots"
WHERE aggregate_type = 'posting';
