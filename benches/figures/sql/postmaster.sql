-- the first line of what the server's first process leaves
SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)::int
