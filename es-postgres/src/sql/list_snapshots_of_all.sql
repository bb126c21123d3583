-- only those after $1 aggregate type, $2 aggregate id, $3 version; $4 how many; $5 the aggregate type
-- that has a table of its own
--
-- One branch for each range of an index; of the last two, one has no rows. Their places, and not the
-- ids, are sorted in the end, because the tables may order ids differently.
WITH general AS (
    SELECT
        aggregate_type,
        aggregate_id::text AS aggregate_id,
        aggregate_version,
        schema,
        created_at,
        state,
        last_event_id,
        row_number() OVER (ORDER BY aggregate_type, aggregate_id, aggregate_version) AS place
    FROM "{schema}"."{events}_snapshots"
    WHERE (aggregate_type, aggregate_id, aggregate_version) > ($1, $2, $3::bigint)
        AND aggregate_type <> $5
    ORDER BY place
    LIMIT $4
),
begun AS (
    SELECT
        t.*,
        row_number() OVER (ORDER BY t."{snapshot_id}", t."{snapshot_version}") AS place
    FROM "{schema}"."{snapshots}" t
    WHERE $1 = $5
        AND (t."{snapshot_id}", t."{snapshot_version}") > ($2, $3::bigint)
    ORDER BY place
    LIMIT $4
),
ahead AS (
    SELECT
        t.*,
        row_number() OVER (ORDER BY t."{snapshot_id}", t."{snapshot_version}") AS place
    FROM "{schema}"."{snapshots}" t
    WHERE $1 COLLATE "C" < $5
    ORDER BY place
    LIMIT $4
)
SELECT
    l.aggregate_type,
    l.aggregate_id,
    l.aggregate_version,
    l.schema,
    l.created_at,
    pg_column_size(l.state)::bigint,
    l.last_event_id
FROM (
    SELECT
        aggregate_type,
        aggregate_id,
        aggregate_version,
        schema,
        created_at,
        state,
        last_event_id,
        place
    FROM general
    UNION ALL
    SELECT
        $5,
        t."{snapshot_id}"::text,
        t."{snapshot_version}",
        coalesce(t."{snapshot_schema}", ''),
        coalesce(t."{snapshot_taken_at}", TIMESTAMPTZ 'epoch'),
        t."{snapshot_state}",
        t."{snapshot_event}",
        t.place
    FROM (
        SELECT * FROM begun
        UNION ALL
        SELECT * FROM ahead
    ) t
) l
ORDER BY l.aggregate_type COLLATE "C", l.place
LIMIT $4
