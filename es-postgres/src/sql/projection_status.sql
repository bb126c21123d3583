-- $1 projection, null for all
SELECT
    m.projection,
    m.slot,
    m.generation,
    m.fingerprint,
    h.holder,
    m.expires_at,
    CASE WHEN m.rate_epoch = m.epoch THEN m.rate END AS rate,
    s.events,
    s.committed_at,
    s.trouble,
    s.trouble_at,
    s.positions,
    s.event_positions,
    s.event_ids,
    s.stream_types,
    s.stream_ids,
    s.versions,
    p.waiting,
    p.discarded
FROM "{schema}"."{events}_projection_models" m
CROSS JOIN LATERAL (
    SELECT "{schema}"."{events}_projection_holder"(
        m.holder,
        m.expires_at,
        "{schema}"."{events}_projection_now"()
    ) AS holder
) h
CROSS JOIN LATERAL (
    SELECT
        sum(n.events)::bigint AS events,
        max(n.committed_at) AS committed_at,
        -- a commit of any slice clears it
        CASE WHEN count(n.trouble) = count(*) THEN min(n.trouble) END AS trouble,
        max(n.trouble_at) AS trouble_at,
        array_agg(n.position ORDER BY n.slice) AS positions,
        array_agg(n.event_position ORDER BY n.slice) AS event_positions,
        array_agg(n.event_id ORDER BY n.slice) AS event_ids,
        array_agg(n.aggregate_type ORDER BY n.slice) AS stream_types,
        array_agg(n.aggregate_id ORDER BY n.slice) AS stream_ids,
        array_agg(n.aggregate_version ORDER BY n.slice) AS versions
    FROM "{schema}"."{events}_projection_slices" n
    WHERE n.generation = m.generation
) s
CROSS JOIN LATERAL (
    SELECT
        count(*) FILTER (WHERE n.state <> 'discarded') AS waiting,
        count(*) FILTER (WHERE n.state = 'discarded') AS discarded
    FROM "{schema}"."{events}_projection_parked" n
    WHERE n.generation = m.generation
) p
WHERE m.slot IN ('active', 'shadow')
    AND ($1::text IS NULL OR m.projection = $1)
ORDER BY m.projection, m.slot
