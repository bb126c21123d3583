SELECT {event_columns}
FROM {schema}.dual_write(
    event_type => %(event_type)s::text,
    aggregate_id => %(aggregate_id)s::int,
    event_data => %(event_data)s::jsonb,
    metadata => %(metadata)s::jsonb,
    aggregate_type => %(aggregate_type)s::text,
    idempotency_key => %(idempotency_key)s::text,
    aggregate_version => %(aggregate_version)s::int,
    old_row => %(old_row)s::jsonb
)
