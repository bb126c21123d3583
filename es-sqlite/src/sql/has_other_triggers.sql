-- true if the application has triggers on the store's tables
SELECT EXISTS (
    SELECT 1
    FROM sqlite_schema
    WHERE type = 'trigger'
        AND (
            tbl_name COLLATE NOCASE IN (
                'execution_events',
                'idempotency_keys',
                'snapshots',
                -- appends write these, too, if they keep a projection
                'projection_models',
                'projection_slices',
                'projection_rows',
                'projection_parked'
            )
            -- and the tables of projections
            OR tbl_name LIKE '%\_models' ESCAPE '\'
        )
        AND name NOT IN (
            'execution_events_are_appended',
            'execution_events_are_not_updated',
            'execution_events_are_not_deleted'
        )
)
