-- Everything in the database that does not agree with the events, each with the command that repairs
-- it. All of it is looked up in one view of the database, so what is being written is no finding.
--
--   kind            what it is
--   severity        error: something is wrong until it is repaired
--                   warning: something to know; nothing in this database is wrong by it
--   aggregate_type  of which stream; null: of none
--   aggregate_id
--   detail          what differs
--   repair          SQL that repairs it; null if there is nothing to be done. Where it has an
--                   ellipsis, somebody has to say what is missing
CREATE OR REPLACE FUNCTION "{schema}".validate_event_store()
RETURNS TABLE (
    kind TEXT,
    severity TEXT,
    aggregate_type TEXT,
    aggregate_id INT,
    detail TEXT,
    repair TEXT
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    last_id INT;
    chunk INT[];
BEGIN
    RETURN QUERY
    SELECT g.kind, 'error', NULL::text, NULL::int, g.detail, g.repair
    FROM "{schema}".unguarded_events() g;

    RETURN QUERY SELECT * FROM "{schema}".misordered_events();

    LOOP
        SELECT array_agg(c.posting_id ORDER BY c.posting_id) INTO chunk
        FROM (
            SELECT DISTINCT e.aggregate_id AS posting_id
            FROM "{schema}"."{events}" e
            WHERE e.aggregate_type = 'posting'
                AND (last_id IS NULL OR e.aggregate_id > last_id)
            ORDER BY 1
            LIMIT 1000
        ) c;
        EXIT WHEN chunk IS NULL;
        last_id := chunk[cardinality(chunk)];

        RETURN QUERY
        SELECT
            CASE
                WHEN d.kept_version IS NULL THEN 'projection_missing'
                WHEN d.foldable_version IS NULL THEN 'state_too_large'
                WHEN d.kept_version < d.foldable_version THEN 'projection_stale'
                ELSE 'projection_differs'
            END,
            'error',
            'posting',
            d.posting_id,
            CASE
                WHEN d.kept_version IS NULL THEN 'it has events, but no row in posting_state_projection'
                WHEN d.foldable_version IS NULL THEN
                    format('its row is at event %s; the database cannot hold its state, which programs still can', d.kept_version)
                WHEN d.kept_version <> d.foldable_version THEN
                    format('its row is at event %s, its events that can be folded end with %s', d.kept_version, d.foldable_version)
                ELSE format('its row differs from the replay in %s', array_to_string(d.columns, ', '))
            END,
            CASE
                WHEN d.kept_version IS NULL OR d.foldable_version IS NOT NULL THEN
                    format('SELECT "{schema}".rebuild_posting_state(%s)', d.posting_id)
            END
        FROM "{schema}".differing_posting_states(chunk) d;

        RETURN QUERY
        SELECT
            'event_unreadable',
            'warning',
            'posting',
            e.aggregate_id,
            format(
                '%s of its events cannot be read, the first of them event %s (%s): the row goes over them, and programs refuse the posting',
                count(*), min(e.aggregate_version), (array_agg(e.event_type ORDER BY e.aggregate_version))[1]
            ),
            NULL::text
        FROM "{schema}"."{events}" e
        WHERE e.aggregate_type = 'posting'
            AND e.aggregate_id BETWEEN chunk[1] AND last_id
            AND "{schema}".posting_event_kind(e.event_type, e.event_data, e.metadata) IS NULL
        GROUP BY e.aggregate_id;
    END LOOP;

    RETURN QUERY
    SELECT
        'projection_phantom',
        'error',
        'posting',
        p.posting_id,
        'it has a row in posting_state_projection, but no events',
        format('SELECT "{schema}".rebuild_posting_state(%s)', p.posting_id)
    FROM "{schema}".posting_state_projection p
    WHERE NOT EXISTS (
        SELECT
        FROM "{schema}"."{events}" e
        WHERE e.aggregate_type = 'posting'
            AND e.aggregate_id = p.posting_id
    );

    last_id := NULL;
    LOOP
        SELECT array_agg(c.posting_id ORDER BY c.posting_id) INTO chunk
        FROM (
            SELECT DISTINCT s.posting_id
            FROM "{schema}".posting_state_snapshots s
            WHERE last_id IS NULL OR s.posting_id > last_id
            ORDER BY 1
            LIMIT 100
        ) c;
        EXIT WHEN chunk IS NULL;
        last_id := chunk[cardinality(chunk)];

        RETURN QUERY
        SELECT s.kind, 'error', 'posting', s.posting_id, s.detail, s.repair
        FROM "{schema}".wrong_snapshots(chunk) s;
    END LOOP;
END;
$$;
