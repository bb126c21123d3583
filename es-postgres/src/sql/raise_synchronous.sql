SELECT pg_catalog.set_config('synchronous_commit', 'on', {is_local})
WHERE pg_catalog.current_setting('synchronous_commit') IN ('off', 'local')
