-- $1 aggregate id, $2 highest version
SELECT
    "{snapshot_version}"::bigint,
    coalesce("{snapshot_schema}", ''),
    coalesce("{snapshot_taken_at}", TIMESTAMPTZ 'epoch'),
    "{snapshot_state}",
    "{snapshot_event}"
FROM "{schema}"."{snapshots}"
WHERE "{snapshot_id}" = $1
    AND "{snapshot_version}" <= $2::bigint
    AND "{snapshot_event}" IS NOT NULL
ORDER BY "{snapshots}"."{snapshot_version}" DESC
LIMIT 1
