-- The events of one stream, in the order of their versions.
CREATE FUNCTION "{schema}".get_aggregate_events(aggregate_type TEXT, aggregate_id INT)
RETURNS SETOF "{schema}"."{events}"
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT e.*
    FROM "{schema}"."{events}" e
    WHERE e.aggregate_type = get_aggregate_events.aggregate_type
        AND e.aggregate_id = get_aggregate_events.aggregate_id
    ORDER BY e.aggregate_version
$$;

COMMENT ON FUNCTION "{schema}".get_aggregate_events(TEXT, INT) IS 'the events of one stream, in the order of their versions';
