-- Judges append requests in their order and writes the accepted ones.
--
-- Arguments, as arrays:
--   stream_*   the different streams of all requests
--   request_*  for each request: how many parts it has, a part being its share in one stream
--   part_*     for each part, request by request: which stream; the version that it expects, -1 for
--              any, -2 for a stream that exists; how many events it has; the request's key, and for
--              a key over several streams an id that joins them (both arrays null if no request has
--              a key)
--   event_*    for each event: its part and its number within the part, and itself. They are sorted
--              by stream, so that two calls take the entries of the unique indexes in the same order
--              and cannot wait for one another, and within a stream in the order of the requests
-- Answers:
--   outcomes   for each request: 0 written; n > 0 the stream of its n-th part is not as expected;
--              -n the key is recorded under the stream of its n-th part
--   actuals    for each request: the version of the stream that is not as expected
--   bases      for each part: the version of its stream before its events
--   positions  of the written events, ascending, that is in the order of the arguments
--
-- The order of the steps matters. Versions are looked up before keys: who then finds a key missing
-- saw versions from before it was recorded. Positions are drawn after the version before was seen
-- committed, so that a stream's positions follow its versions. The unique indexes judge in the end:
-- when another transaction was faster nothing is written, and unique_violation tells the caller to
-- ask again.
--
-- The settings pin the plans to the indexes: a plan made while the table was empty would scan it.
-- What has no index then has a cost for which the server would compile the plan, each time.
CREATE FUNCTION "{schema}"."{events}_append"(
    stream_types TEXT[],
    stream_ids {id}[],
    request_parts INT[],
    part_streams INT[],
    part_expected BIGINT[],
    part_sizes INT[],
    part_keys TEXT[],
    part_append_ids UUID[],
    event_parts INT[],
    event_numbers INT[],
    event_ids UUID[],
    event_types TEXT[],
    event_data JSONB[],
    event_metadata JSONB[],
    recorded_at TIMESTAMPTZ,
    OUT outcomes INT[],
    OUT actuals BIGINT[],
    OUT bases BIGINT[],
    OUT positions BIGINT[]
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
DECLARE
    heads BIGINT[];
    head BIGINT;
    expected BIGINT;
    recorded INT[];
    part_numbers INT[];
    first_part INT;
    last_part INT := 0;
    outcome INT;
    wanted INT := 0;
BEGIN
    IF cardinality(stream_types) = 1 THEN
        SELECT e.aggregate_version INTO head
        FROM "{schema}"."{events}" e
        WHERE e.aggregate_type = stream_types[1]
            AND e.aggregate_id = stream_ids[1]
        ORDER BY e.aggregate_version DESC
        LIMIT 1;
        heads[1] := coalesce(head, 0);
    ELSE
        SELECT array_agg(coalesce(h.aggregate_version, 0)::bigint ORDER BY s.number) INTO heads
        FROM unnest(stream_types, stream_ids) WITH ORDINALITY s (aggregate_type, aggregate_id, number)
        LEFT JOIN LATERAL (
            SELECT e.aggregate_version
            FROM "{schema}"."{events}" e
            WHERE e.aggregate_type = s.aggregate_type
                AND e.aggregate_id = s.aggregate_id
            ORDER BY e.aggregate_version DESC
            LIMIT 1
        ) h ON TRUE;
    END IF;

    IF part_keys IS NOT NULL THEN
        SELECT array_agg(p.number::int) INTO recorded
        FROM unnest(part_keys, part_streams) WITH ORDINALITY p (key, stream, number)
        CROSS JOIN LATERAL (
            SELECT TRUE
            FROM "{schema}"."{events}" e
            WHERE e.aggregate_type = stream_types[p.stream]
                AND e.aggregate_id = stream_ids[p.stream]
                AND e.idempotency_key = p.key
            LIMIT 1
        ) k
        WHERE p.key IS NOT NULL;
    END IF;

    FOR request IN 1 .. cardinality(request_parts) LOOP
        first_part := last_part + 1;
        last_part := last_part + request_parts[request];
        outcome := 0;
        actuals[request] := NULL;
        IF recorded IS NOT NULL THEN
            FOR part IN first_part .. last_part LOOP
                IF part = ANY (recorded) THEN
                    outcome := first_part - 1 - part;
                    EXIT;
                END IF;
            END LOOP;
        END IF;
        IF outcome = 0 THEN
            FOR part IN first_part .. last_part LOOP
                head := heads[part_streams[part]];
                expected := part_expected[part];
                IF NOT (expected = head OR expected = -1 OR (expected = -2 AND head > 0)) THEN
                    outcome := part - first_part + 1;
                    actuals[request] := head;
                    EXIT;
                END IF;
            END LOOP;
        END IF;
        outcomes[request] := outcome;
        FOR part IN first_part .. last_part LOOP
            IF outcome = 0 THEN
                head := heads[part_streams[part]];
                bases[part] := head;
                heads[part_streams[part]] := head + part_sizes[part];
                wanted := wanted + part_sizes[part];
            ELSE
                bases[part] := NULL;
            END IF;
            part_numbers[part] := part - first_part + 1;
        END LOOP;
    END LOOP;

    IF wanted > 0 THEN
        WITH written AS (
            INSERT INTO "{schema}"."{events}" (
                event_id,
                aggregate_type,
                aggregate_id,
                aggregate_version,
                event_type,
                event_data,
                metadata,
                created_at,
                idempotency_key,
                append_size,
                append_id,
                append_part
            )
            SELECT
                e.event_id,
                stream_types[part_streams[e.part]],
                stream_ids[part_streams[e.part]],
                bases[e.part] + e.number,
                e.event_type,
                e.event_data,
                e.metadata,
                recorded_at,
                CASE WHEN e.number = 1 THEN part_keys[e.part] END,
                CASE WHEN e.number = 1 AND part_keys[e.part] IS NOT NULL THEN part_sizes[e.part] END,
                CASE WHEN e.number = 1 THEN part_append_ids[e.part] END,
                CASE WHEN e.number = 1 AND part_append_ids[e.part] IS NOT NULL THEN part_numbers[e.part] END
            FROM unnest(event_parts, event_numbers, event_ids, event_types, event_data, event_metadata)
                e (part, number, event_id, event_type, event_data, metadata)
            WHERE bases[e.part] IS NOT NULL
            RETURNING position
        )
        SELECT array_agg(w.position ORDER BY w.position) INTO positions FROM written w;
        IF cardinality(positions) IS DISTINCT FROM wanted THEN
            RAISE EXCEPTION 'a trigger on "{schema}"."{events}" keeps events out'
                USING ERRCODE = 'ES001';
        END IF;
    END IF;
END;
$$;

-- The same within a transaction of the caller, which a lost race must not spoil: outcomes is then
-- null and nothing is written.
CREATE FUNCTION "{schema}"."{events}_append_within"(
    stream_types TEXT[],
    stream_ids {id}[],
    request_parts INT[],
    part_streams INT[],
    part_expected BIGINT[],
    part_sizes INT[],
    part_keys TEXT[],
    part_append_ids UUID[],
    event_parts INT[],
    event_numbers INT[],
    event_ids UUID[],
    event_types TEXT[],
    event_data JSONB[],
    event_metadata JSONB[],
    recorded_at TIMESTAMPTZ,
    OUT outcomes INT[],
    OUT actuals BIGINT[],
    OUT bases BIGINT[],
    OUT positions BIGINT[]
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    violated_table TEXT;
    violated_schema TEXT;
BEGIN
    SELECT a.outcomes, a.actuals, a.bases, a.positions
    INTO outcomes, actuals, bases, positions
    FROM "{schema}"."{events}_append"(
        stream_types, stream_ids, request_parts, part_streams, part_expected, part_sizes, part_keys,
        part_append_ids, event_parts, event_numbers, event_ids, event_types, event_data,
        event_metadata, recorded_at
    ) a;
EXCEPTION
    WHEN unique_violation THEN
        GET STACKED DIAGNOSTICS violated_table = TABLE_NAME, violated_schema = SCHEMA_NAME;
        IF violated_table <> '{events}' OR violated_schema <> '{schema}' THEN
            RAISE;
        END IF;
        outcomes := NULL;
END;
$$;
