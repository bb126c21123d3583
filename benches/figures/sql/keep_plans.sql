-- fresh statistics would have every session plan anew
ALTER TABLE execution_events SET (autovacuum_enabled = false)
