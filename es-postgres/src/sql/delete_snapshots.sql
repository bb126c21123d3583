-- $1 aggregate type, $2 aggregate id
DELETE FROM "{schema}"."{events}_snapshots"
WHERE aggregate_type = $1
    AND aggregate_id = $2
