SELECT outcome, holder, expires_at
FROM "{schema}"."{events}_projection_abandon"($1)
