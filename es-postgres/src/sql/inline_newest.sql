SELECT coalesce(max(e.position), 0)
FROM "{schema}"."{events}" e
