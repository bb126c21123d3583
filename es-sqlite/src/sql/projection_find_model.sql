-- ?1 projection, ?2 slot
SELECT generation, fingerprint, epoch, holder, expires_at, rate
FROM projection_models
WHERE projection = ?1
    AND slot = ?2
