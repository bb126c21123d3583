SELECT outcome, generation, epoch, holder, expires_at, fingerprint
FROM "{schema}"."{events}_projection_acquire"($1, $2, $3, $4, $5, $6)
