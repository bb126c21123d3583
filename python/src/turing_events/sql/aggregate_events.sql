SELECT {event_columns}
FROM {schema}.execution_events
WHERE aggregate_type = %(aggregate_type)s::text
    AND aggregate_id = %(aggregate_id)s::int
    AND aggregate_version > %(after_version)s::int
ORDER BY aggregate_version
