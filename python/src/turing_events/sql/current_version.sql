SELECT coalesce(max(aggregate_version), 0)
FROM {schema}.execution_events
WHERE aggregate_type = %(aggregate_type)s::text
    AND aggregate_id = %(aggregate_id)s::int
