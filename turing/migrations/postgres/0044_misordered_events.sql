-- What is wrong with the numbers of the events: for each stream its gaps, and where the order of
-- positions or of times is another than that of versions.
--
-- As before, with the types of the texts in a repair: with untyped ones another function of the same
-- name, which somebody else has made in this schema, may be meant, or none.
CREATE OR REPLACE FUNCTION "{schema}".misordered_events()
RETURNS TABLE (
    kind TEXT,
    severity TEXT,
    aggregate_type TEXT,
    aggregate_id INT,
    detail TEXT,
    repair TEXT
)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH neighbours AS (
        SELECT
            e.aggregate_type,
            e.aggregate_id,
            e.aggregate_version AS version,
            e.position,
            e.created_at,
            coalesce(lag(e.aggregate_version) OVER stream, 0) AS version_before,
            lag(e.position) OVER stream AS position_before,
            lag(e.created_at) OVER stream AS created_before
        FROM "{schema}"."{events}" e
        WINDOW stream AS (PARTITION BY e.aggregate_type, e.aggregate_id ORDER BY e.aggregate_version)
    ),
    wrong AS MATERIALIZED (
        SELECT *
        FROM neighbours n
        WHERE n.version <> n.version_before + 1
            OR n.position < n.position_before
            OR n.created_at < n.created_before
    )
    SELECT
        'gap_in_versions',
        'error',
        w.aggregate_type,
        w.aggregate_id,
        CASE w.version - w.version_before
            WHEN 2 THEN format('there is no event %s, but event %s', w.version - 1, w.version)
            ELSE format('there are no events %s to %s, but event %s', w.version_before + 1, w.version - 1, w.version)
        END || '; what is behind it is not in the state of a posting',
        format(
            'SELECT "{schema}".append_event(event_type => %L::text, aggregate_id => %s, event_data => %L::jsonb, aggregate_type => %L::text, aggregate_version => %s)',
            '…', w.aggregate_id, '{…}', w.aggregate_type, w.version_before + 1
        )
    FROM wrong w
    WHERE w.version <> w.version_before + 1
    UNION ALL
    SELECT
        'order_reversed',
        'warning',
        w.aggregate_type,
        w.aggregate_id,
        format(
            '%s of its events, the first of them event %s, came into the log before their predecessors: what follows the log has seen them in that order',
            count(*), min(w.version)
        ),
        CASE w.aggregate_type
            WHEN 'posting' THEN format('SELECT "{schema}".rebuild_posting_state(%s)', w.aggregate_id)
        END
    FROM wrong w
    WHERE w.position < w.position_before
    GROUP BY w.aggregate_type, w.aggregate_id
    UNION ALL
    SELECT
        'clock_reversed',
        'warning',
        w.aggregate_type,
        w.aggregate_id,
        format(
            '%s of its events, the first of them event %s, have an earlier created_at than their predecessors; versions decide the order',
            count(*), min(w.version)
        ),
        NULL
    FROM wrong w
    WHERE w.created_at < w.created_before
    GROUP BY w.aggregate_type, w.aggregate_id
$$;
