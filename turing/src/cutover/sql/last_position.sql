SELECT coalesce(pg_catalog.max(e.position), 0)::bigint FROM "{schema}"."{events}" e
