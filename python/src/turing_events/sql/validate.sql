SELECT kind, severity, aggregate_type, aggregate_id, detail, repair
FROM {schema}.validate_event_store()
