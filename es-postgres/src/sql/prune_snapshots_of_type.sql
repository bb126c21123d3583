-- $1 aggregate id, $2 how many stay
WITH removed AS (
    DELETE FROM "{schema}"."{snapshots}"
    WHERE "{snapshot_id}" = $1
        AND "{snapshot_version}" <= (
            SELECT "{snapshot_version}"
            FROM "{schema}"."{snapshots}"
            WHERE "{snapshot_id}" = $1
            ORDER BY "{snapshot_version}" DESC
            LIMIT 1 OFFSET $2
        )
    RETURNING 1
)
SELECT count(*) FROM removed
