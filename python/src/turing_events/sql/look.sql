SELECT
    current_setting('transaction_isolation'), is_standby, is_same, visible, visible_id::text, holders, lows,
    newest, newest_id::text, drawn_since
FROM {schema}.execution_events_next_look(
    %(position)s::bigint, %(event_id)s::uuid, %(visible)s::bigint, %(visible_id)s::uuid, %(holders)s::text[],
    %(lows)s::bigint[]
)
