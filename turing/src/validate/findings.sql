SELECT
    f.kind,
    f.severity,
    f.aggregate_type,
    f.aggregate_id,
    f.detail,
    f.repair
FROM "{schema}".validate_event_store() f
