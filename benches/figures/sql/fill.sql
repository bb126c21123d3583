-- $1 first and $2 last of the events that are made, counted from 0; $3 first posting, $4 how many:
-- every posting takes a step, then every posting the next one, so that none has two that are near;
-- the ids' times are before those of all that is appended later
INSERT INTO execution_events (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata, created_at)
SELECT
    (lpad(to_hex(1763536400000 + n / 4), 12, '0') || '70008' || lpad(to_hex($3::bigint), 7, '0') || lpad(to_hex(n), 8, '0'))::uuid,
    'posting',
    ($3::bigint + n % $4::bigint)::text,
    n / $4::bigint + 1,
    'script_execution_completed',
    jsonb_build_object('output', left(repeat(md5(n::text), 5), 148), 'status', 'SUCCESS'),
    jsonb_build_object(
        'conversation_id', 9184 + n % 16,
        'actor_id', 1 + n % 99,
        'duration_ms', 1 + n % 1999,
        'causation_id', md5(($3::bigint + n)::text)::uuid,
        'correlation_id', 'workflow_3001_posting_12345',
        'event_version', '1.0'
    ),
    now()
FROM generate_series($1::bigint, $2::bigint) n
