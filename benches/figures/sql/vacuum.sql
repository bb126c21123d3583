VACUUM (ANALYZE) execution_events
