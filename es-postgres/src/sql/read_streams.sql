-- $1 aggregate types, $2 aggregate ids, $3 lowest versions, $4 highest versions, $5 how many events
--
-- A page of each of several streams, one after the other in the order in which they are asked for, and
-- each in its own: both are the order of the plan, and an ORDER BY would sort all rows again. Each stream
-- has one row at least, which tells its version. No event is above that, which the statement says for the
-- planner, so that the version is looked up before the events, and once.
SELECT
    e.position,
    e.event_id,
    e.aggregate_version,
    e.event_type,
    e.created_at,
    e.metadata,
    e.event_data,
    coalesce(h.aggregate_version, 0)::bigint,
    r.number
FROM unnest($1::text[], $2::{id}[], $3::int[], $4::int[], $5::bigint[])
    WITH ORDINALITY
    r (aggregate_type, aggregate_id, lowest, highest, most, number)
LEFT JOIN LATERAL (
    SELECT s.aggregate_version
    FROM "{schema}"."{events}" s
    WHERE s.aggregate_type = r.aggregate_type
        AND s.aggregate_id = r.aggregate_id
    ORDER BY s.aggregate_version DESC
    LIMIT 1
) h ON TRUE
LEFT JOIN LATERAL (
    SELECT s.*
    FROM "{schema}"."{events}" s
    WHERE s.aggregate_type = r.aggregate_type
        AND s.aggregate_id = r.aggregate_id
        AND s.aggregate_version >= r.lowest
        AND s.aggregate_version <= least(r.highest, h.aggregate_version)
    ORDER BY s.aggregate_version
    LIMIT r.most
) e ON TRUE
