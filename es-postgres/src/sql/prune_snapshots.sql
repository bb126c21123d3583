-- $1 aggregate type, $2 aggregate id, $3 how many stay
WITH removed AS (
    DELETE FROM "{schema}"."{events}_snapshots"
    WHERE aggregate_type = $1
        AND aggregate_id = $2
        AND aggregate_version <= (
            SELECT aggregate_version
            FROM "{schema}"."{events}_snapshots"
            WHERE aggregate_type = $1
                AND aggregate_id = $2
            ORDER BY aggregate_version DESC
            LIMIT 1 OFFSET $3
        )
    RETURNING 1
)
SELECT count(*) FROM removed
