-- The state before the first event that was recorded later.
SELECT {state_columns}
FROM {schema}.posting_states(
    ARRAY[%(posting_id)s::int],
    ARRAY[
        (
            SELECT aggregate_version - 1
            FROM {schema}.execution_events
            WHERE aggregate_type = 'posting'
                AND aggregate_id = %(posting_id)s::int
                AND created_at > %(at)s::timestamptz
            ORDER BY aggregate_version
            LIMIT 1
        )
    ],
    TRUE
)
WHERE aggregate_version > 0
