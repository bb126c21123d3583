-- $1 aggregate id
DELETE FROM "{schema}"."{snapshots}"
WHERE "{snapshot_id}" = $1
