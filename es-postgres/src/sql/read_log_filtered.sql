-- $1 position before the first, $2 last position, $3 how many events, $4 aggregate types or null,
-- $5 event types or null, $6 how many positions to look at, $7 whether with what they say,
-- $8 with what the ids of streams in view begin, or null
--
-- The first row has no event: it tells how far was looked, which is as far as an event stands, and which
-- event in view is the last up to there. Positions are counted from the first event on: no event has to be
-- read to count them, and a gap before it is passed at once. The events follow in order as they come from
-- the index: an ORDER BY of all rows would sort them again.
WITH reach AS MATERIALIZED (
    SELECT CASE
        WHEN first.position IS NULL OR $2 - first.position < $6 THEN $2
        ELSE (
            SELECT position
            FROM "{schema}"."{events}"
            WHERE position > $1
                AND position < first.position + $6
            ORDER BY position DESC
            LIMIT 1
        )
    END AS position
    FROM (
        SELECT (
            SELECT position
            FROM "{schema}"."{events}"
            WHERE position > $1
                AND position <= $2
            ORDER BY position
            LIMIT 1
        ) AS position
        OFFSET 0
    ) first
)
SELECT
    NULL::bigint,
    NULL::uuid,
    NULL::int,
    NULL::text,
    NULL::timestamptz,
    NULL::jsonb,
    NULL::jsonb,
    NULL::text,
    NULL::text,
    reach.position,
    last.event_id,
    last.aggregate_version,
    last.aggregate_type,
    last.aggregate_id::text,
    last.position
FROM reach
LEFT JOIN LATERAL (
    SELECT position, event_id, aggregate_version, aggregate_type, aggregate_id
    FROM "{schema}"."{events}"
    WHERE position > $1
        AND position <= reach.position
        AND ($8::text IS NULL OR starts_with(aggregate_id::text, $8))
    ORDER BY position DESC
    LIMIT 1
) last ON TRUE
UNION ALL
SELECT
    e.position,
    e.event_id,
    e.aggregate_version,
    e.event_type,
    e.created_at,
    CASE WHEN $7::bool THEN e.metadata END,
    CASE WHEN $7::bool THEN e.event_data END,
    e.aggregate_type,
    e.aggregate_id::text,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL
FROM reach
CROSS JOIN LATERAL (
    SELECT *
    FROM "{schema}"."{events}"
    WHERE position > $1
        AND position <= reach.position
        AND ($4::text[] IS NULL OR aggregate_type = ANY ($4))
        AND ($5::text[] IS NULL OR event_type = ANY ($5))
        AND ($8::text IS NULL OR starts_with(aggregate_id::text, $8))
    ORDER BY position
    LIMIT $3
) e
