-- Removes a model with everything in it.
CREATE FUNCTION "{schema}"."{events}_projection_remove"(model BIGINT)
RETURNS VOID
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
    DELETE FROM "{schema}"."{events}_projection_rows" r WHERE r.generation = model;
    DELETE FROM "{schema}"."{events}_projection_parked" p WHERE p.generation = model;
    DELETE FROM "{schema}"."{events}_projection_slices" s WHERE s.generation = model;
    DELETE FROM "{schema}"."{events}_projection_models" m WHERE m.generation = model;
END;
$$;

-- Takes the lease of a model, which is made if there is none.
--
-- Answers with outcome:
--   0 taken: generation, epoch; 1 another holds it: holder, expires_at; 2 the active model was built
--   by other code: fingerprint
CREATE FUNCTION "{schema}"."{events}_projection_acquire"(
    wanted TEXT,
    wanted_slot TEXT,
    offered TEXT,
    slices INT,
    claimant TEXT,
    microseconds BIGINT,
    OUT outcome INT,
    OUT generation BIGINT,
    OUT epoch BIGINT,
    OUT holder TEXT,
    OUT expires_at TIMESTAMPTZ,
    OUT fingerprint TEXT
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    existing RECORD;
    model BIGINT;
    now TIMESTAMPTZ;
BEGIN
    LOOP
        SELECT m.* INTO existing
        FROM "{schema}"."{events}_projection_models" m
        WHERE m.projection = wanted
            AND m.slot = wanted_slot
        FOR UPDATE;
        now := "{schema}"."{events}_projection_now"();
        IF FOUND THEN
            IF existing.holder <> claimant AND existing.expires_at > now THEN
                outcome := 1;
                holder := existing.holder;
                expires_at := existing.expires_at;
                RETURN;
            END IF;
            model := existing.generation;
            EXIT WHEN existing.fingerprint = offered;
            IF wanted_slot = 'active' THEN
                outcome := 2;
                fingerprint := existing.fingerprint;
                RETURN;
            END IF;
            PERFORM "{schema}"."{events}_projection_remove"(model);
        END IF;
        INSERT INTO "{schema}"."{events}_projection_models" (projection, slot, fingerprint)
        VALUES (wanted, wanted_slot, offered)
        ON CONFLICT (projection, slot) DO NOTHING
        RETURNING generation INTO model;
        -- else another transaction has made it meanwhile
        IF FOUND THEN
            INSERT INTO "{schema}"."{events}_projection_slices" (generation, slice)
            SELECT model, n.slice
            FROM generate_series(0, CASE wanted_slot WHEN 'active' THEN 0 ELSE slices - 1 END) n (slice);
            INSERT INTO "{schema}"."{events}_projection_parked" (
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
            SELECT
                model,
                p.position,
                p.key,
                p.event_id,
                p.aggregate_type,
                p.aggregate_id,
                p.aggregate_version,
                p.reason,
                p.attempts,
                p.parked_at,
                p.state,
                p.discard_reason,
                p.discarded_at
            FROM "{schema}"."{events}_projection_models" a
            JOIN "{schema}"."{events}_projection_parked" p ON p.generation = a.generation
            WHERE a.projection = wanted
                AND a.slot = 'active'
                AND a.generation <> model
                AND p.state = 'discarded';
            EXIT;
        END IF;
    END LOOP;
    UPDATE "{schema}"."{events}_projection_models" m
    SET epoch = m.epoch + 1,
        holder = claimant,
        expires_at = now + microseconds * INTERVAL '1 microsecond'
    WHERE m.generation = model
    RETURNING m.epoch INTO "{events}_projection_acquire".epoch;
    generation := model;
    outcome := 0;
END;
$$;

-- Makes the shadow, whose lease this is, the active model.
--
-- Answers with outcome:
--   0 done; 1 the lease was lost; 2 it has not caught up: behind is where the hindmost slice is and
--   foremost where it should be
CREATE FUNCTION "{schema}"."{events}_projection_switch"(
    model BIGINT,
    lease_epoch BIGINT,
    OUT outcome INT,
    OUT behind BIGINT,
    OUT foremost BIGINT
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
    shadow RECORD;
    served BIGINT;
BEGIN
    SELECT m.projection INTO shadow
    FROM "{schema}"."{events}_projection_models" m
    WHERE m.generation = model
        AND m.epoch = lease_epoch
        AND m.slot = 'shadow'
    FOR UPDATE;
    IF NOT FOUND THEN
        outcome := 1;
        RETURN;
    END IF;
    SELECT m.generation INTO served
    FROM "{schema}"."{events}_projection_models" m
    WHERE m.projection = shadow.projection
        AND m.slot = 'active'
    FOR UPDATE;
    SELECT min(s.position) FILTER (WHERE s.generation = model), max(s.position)
    INTO behind, foremost
    FROM "{schema}"."{events}_projection_slices" s
    WHERE s.generation IN (model, served);
    IF behind < foremost THEN
        outcome := 2;
        RETURN;
    END IF;
    IF served IS NOT NULL THEN
        PERFORM "{schema}"."{events}_projection_remove"(served);
    END IF;
    UPDATE "{schema}"."{events}_projection_models" m
    SET slot = 'active',
        holder = NULL,
        expires_at = NULL
    WHERE m.generation = model;
    UPDATE "{schema}"."{events}_projection_slices" s
    SET events = t.events,
        committed_at = t.committed_at
    FROM (
        SELECT sum(a.events) AS events, max(a.committed_at) AS committed_at
        FROM "{schema}"."{events}_projection_slices" a
        WHERE a.generation = model
    ) t
    WHERE s.generation = model
        AND s.slice = 0;
    DELETE FROM "{schema}"."{events}_projection_slices" s
    WHERE s.generation = model
        AND s.slice > 0;
    outcome := 0;
END;
$$;

-- Removes the shadow of a projection.
--
-- Answers with outcome: 0 done; 1 somebody holds it: holder, expires_at; 2 there is none
CREATE FUNCTION "{schema}"."{events}_projection_abandon"(
    wanted TEXT,
    OUT outcome INT,
    OUT holder TEXT,
    OUT expires_at TIMESTAMPTZ
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
    shadow RECORD;
BEGIN
    SELECT m.* INTO shadow
    FROM "{schema}"."{events}_projection_models" m
    WHERE m.projection = wanted
        AND m.slot = 'shadow'
    FOR UPDATE;
    IF NOT FOUND THEN
        outcome := 2;
    ELSIF shadow.expires_at > "{schema}"."{events}_projection_now"() THEN
        outcome := 1;
        holder := shadow.holder;
        expires_at := shadow.expires_at;
    ELSE
        PERFORM "{schema}"."{events}_projection_remove"(shadow.generation);
        outcome := 0;
    END IF;
END;
$$;
