SELECT coalesce(sum(aggregate_version), 0)::bigint
FROM posting_state_projection
