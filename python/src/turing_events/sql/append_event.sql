SELECT {event_columns}
FROM {schema}.append_event(
    event_type => %(event_type)s::text,
    aggregate_id => %(aggregate_id)s::int,
    event_data => %(event_data)s::jsonb,
    metadata => %(metadata)s::jsonb,
    aggregate_type => %(aggregate_type)s::text,
    idempotency_key => %(idempotency_key)s::text,
    aggregate_version => %(aggregate_version)s::int
)
