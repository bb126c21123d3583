-- As before, but each row and each parked entry is looked up by its key. Joined with the keys, all rows of
-- the model were read where the plan was made while the table was thought to be empty, and all parked
-- entries were compared with each. They are removed by their places, and nobody else writes them: commits
-- of a slice come one after the other, and an entry that waits is held from the look-up on.
CREATE OR REPLACE FUNCTION "{schema}"."{events}_projection_commit"(
    model BIGINT,
    lease_epoch BIGINT,
    lease_slot TEXT,
    slice_number INT,
    from_position BIGINT,
    to_position BIGINT,
    event_position BIGINT,
    event_id UUID,
    event_stream_type TEXT,
    event_stream_id TEXT,
    event_version BIGINT,
    dealt_with BIGINT,
    row_keys TEXT[],
    row_values JSONB[],
    removed_keys TEXT[],
    unpark_positions BIGINT[],
    unpark_keys TEXT[],
    park_positions BIGINT[],
    park_keys TEXT[],
    park_event_ids UUID[],
    park_stream_types TEXT[],
    park_stream_ids TEXT[],
    park_versions BIGINT[],
    park_reasons TEXT[],
    park_attempts BIGINT[],
    park_times TIMESTAMPTZ[],
    park_states TEXT[],
    park_discard_reasons TEXT[],
    park_discard_times TIMESTAMPTZ[],
    transaction TEXT,
    OUT outcome INT
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
DECLARE
    waiting BIGINT;
BEGIN
    outcome := 3;
    IF transaction IS NOT NULL
        AND transaction IS DISTINCT FROM pg_current_xact_id_if_assigned()::text
    THEN
        RETURN;
    END IF;
    outcome := 1;
    PERFORM
    FROM "{schema}"."{events}_projection_models" m
    WHERE m.generation = model
        AND m.epoch = lease_epoch
        AND m.slot = lease_slot
    FOR SHARE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM
    FROM "{schema}"."{events}_projection_slices" s
    WHERE s.generation = model
        AND s.slice = slice_number
        AND s.position = from_position
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;

    IF cardinality(unpark_keys) > 0 THEN
        SELECT count(*) INTO waiting
        FROM unnest(unpark_positions, unpark_keys) u (position, key)
        CROSS JOIN LATERAL (
            SELECT
            FROM "{schema}"."{events}_projection_parked" p
            WHERE p.generation = model
                AND p.key = u.key
                AND p.position = u.position
                AND p.state <> 'discarded'
            FOR UPDATE
        ) locked;
        IF waiting < cardinality(unpark_keys) THEN
            outcome := 2;
            RETURN;
        END IF;
        DELETE FROM "{schema}"."{events}_projection_parked" p
        WHERE p.ctid = ANY (
            ARRAY(
                SELECT n.place
                FROM unnest(unpark_positions, unpark_keys) u (position, key)
                CROSS JOIN LATERAL (
                    SELECT o.ctid AS place
                    FROM "{schema}"."{events}_projection_parked" o
                    WHERE o.generation = model
                        AND o.key = u.key
                        AND o.position = u.position
                    OFFSET 0
                ) n
            )
        );
    END IF;

    IF cardinality(park_keys) > 0 THEN
        INSERT INTO "{schema}"."{events}_projection_parked" AS p (
            generation,
            position,
            key,
            event_id,
            aggregate_type,
            aggregate_id,
            aggregate_version,
            reason,
            attempts,
            parked_at,
            state,
            discard_reason,
            discarded_at
        )
        SELECT model, n.*
        FROM unnest(
            park_positions,
            park_keys,
            park_event_ids,
            park_stream_types,
            park_stream_ids,
            park_versions,
            park_reasons,
            park_attempts,
            park_times,
            park_states,
            park_discard_reasons,
            park_discard_times
        ) n
        ON CONFLICT (generation, key, position) DO UPDATE
        SET event_id = excluded.event_id,
            aggregate_type = excluded.aggregate_type,
            aggregate_id = excluded.aggregate_id,
            aggregate_version = excluded.aggregate_version,
            reason = excluded.reason,
            attempts = excluded.attempts,
            parked_at = excluded.parked_at,
            state = excluded.state,
            discard_reason = excluded.discard_reason,
            discarded_at = excluded.discarded_at;
    END IF;

    IF cardinality(row_keys) > 0 THEN
        INSERT INTO "{schema}"."{events}_projection_rows" (generation, key, value)
        SELECT model, n.key, n.value
        FROM unnest(row_keys, row_values) n (key, value)
        ON CONFLICT (generation, key) DO UPDATE
        SET value = excluded.value;
    END IF;
    IF cardinality(removed_keys) > 0 THEN
        DELETE FROM "{schema}"."{events}_projection_rows" r
        WHERE r.ctid = ANY (
            ARRAY(
                SELECT n.place
                FROM unnest(removed_keys) k (key)
                CROSS JOIN LATERAL (
                    SELECT o.ctid AS place
                    FROM "{schema}"."{events}_projection_rows" o
                    WHERE o.generation = model
                        AND o.key = k.key
                    OFFSET 0
                ) n
            )
        );
    END IF;

    UPDATE "{schema}"."{events}_projection_slices" s
    SET position = to_position,
        event_position = "{events}_projection_commit".event_position,
        event_id = "{events}_projection_commit".event_id,
        aggregate_type = event_stream_type,
        aggregate_id = event_stream_id,
        aggregate_version = event_version,
        events = s.events + dealt_with,
        committed_at = "{schema}"."{events}_projection_now"(),
        trouble = NULL,
        trouble_at = NULL
    WHERE s.generation = model
        AND s.slice = slice_number;
    outcome := 0;
END;
$$;
