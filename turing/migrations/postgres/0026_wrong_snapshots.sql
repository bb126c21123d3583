-- Kept states of these postings that are not what their events say, or that nobody can use. The
-- states of one posting that end with its own events are compared one after the other while its events are folded once.
CREATE OR REPLACE FUNCTION "{schema}".wrong_snapshots(posting_ids INT[])
RETURNS TABLE (kind TEXT, posting_id INT, detail TEXT, repair TEXT)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    snapshots UUID[];
    of_postings INT[];
    versions INT[];
BEGIN
    RETURN QUERY
    SELECT
        'snapshot_of_another_schema',
        s.posting_id,
        format('the snapshot at event %s has the schema %s, not %s', s.event_sequence, coalesce(s.schema, 'null'), "{schema}".posting_state_schema()),
        format('DELETE FROM "{schema}".posting_state_snapshots WHERE snapshot_id = %L', s.snapshot_id)
    FROM "{schema}".posting_state_snapshots s
    WHERE s.posting_id = ANY (posting_ids)
        AND s.schema IS DISTINCT FROM "{schema}".posting_state_schema();

    RETURN QUERY
    SELECT
        'snapshot_of_another_history',
        s.posting_id,
        format('the snapshot at event %s ends with the event %s, and the posting has %s there', s.event_sequence, coalesce(s.last_event_id::text, 'null'), e.event_id),
        format('DELETE FROM "{schema}".posting_state_snapshots WHERE snapshot_id = %L', s.snapshot_id)
    FROM "{schema}".posting_state_snapshots s
    JOIN "{schema}"."{events}" e
        ON e.aggregate_type = 'posting' AND e.aggregate_id = s.posting_id AND e.aggregate_version = s.event_sequence
    WHERE s.posting_id = ANY (posting_ids)
        AND s.schema = "{schema}".posting_state_schema()
        AND s.last_event_id IS DISTINCT FROM e.event_id;

    SELECT array_agg(s.snapshot_id), array_agg(s.posting_id), array_agg(s.event_sequence)
    INTO snapshots, of_postings, versions
    FROM (
        SELECT s.snapshot_id, s.posting_id, s.event_sequence
        FROM "{schema}".posting_state_snapshots s
        WHERE s.posting_id = ANY (posting_ids)
            AND s.schema = "{schema}".posting_state_schema()
            AND NOT EXISTS (
                SELECT
                FROM "{schema}"."{events}" e
                WHERE e.aggregate_type = 'posting'
                    AND e.aggregate_id = s.posting_id
                    AND e.aggregate_version = s.event_sequence
                    AND e.event_id IS DISTINCT FROM s.last_event_id
            )
        ORDER BY s.posting_id, s.event_sequence
    ) s;
    RETURN QUERY
    SELECT
        CASE
            WHEN s.event_sequence > r.aggregate_version THEN 'snapshot_newer_than_stream'
            ELSE 'snapshot_differs'
        END,
        s.posting_id,
        CASE
            WHEN s.event_sequence > r.aggregate_version THEN
                format('the snapshot is at event %s, the events that can be folded end with %s', s.event_sequence, r.aggregate_version)
            ELSE format('the snapshot at event %s differs from the replay in %s', s.event_sequence, (
                SELECT coalesce(string_agg(f.key, ', ' ORDER BY f.key), 'its form')
                FROM jsonb_each(r.state) f
                WHERE s.state -> f.key IS DISTINCT FROM f.value
            ))
        END,
        format('DELETE FROM "{schema}".posting_state_snapshots WHERE snapshot_id = %L', s.snapshot_id)
    FROM (
        SELECT
            p.number,
            p.aggregate_version,
            "{schema}".posting_state_json(ROW (
                p.posting_id, p.current_conversation_id, p.execution_sequence, p.outputs, p.is_terminal,
                p.last_updated, p.aggregate_version, p.terminal, p.ended_runs, p.run
            )) AS state
        FROM "{schema}".posting_states(of_postings, versions, TRUE) p
    ) r
    JOIN "{schema}".posting_state_snapshots s ON s.snapshot_id = snapshots[r.number]
    WHERE s.event_sequence > r.aggregate_version
        OR s.state IS DISTINCT FROM r.state;
END;
$$;
