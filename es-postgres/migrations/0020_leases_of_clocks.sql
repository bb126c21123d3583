-- Who has the lease of a model, NULL if nobody. One that ends later than the longest lease would, which
-- is `Lease::LONGEST` in es-core, is of a clock that was ahead: nobody is kept out by it. The lease of
-- the appends never ends by itself.
CREATE FUNCTION "{schema}"."{events}_projection_holder"(
    holder TEXT,
    expires_at TIMESTAMPTZ,
    now TIMESTAMPTZ
)
RETURNS TEXT
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN expires_at > now AND (holder = 'the append' OR expires_at <= now + INTERVAL '15 minutes')
        THEN holder
    END;
$$;
REVOKE ALL ON FUNCTION "{schema}"."{events}_projection_holder"(TEXT, TIMESTAMPTZ, TIMESTAMPTZ) FROM PUBLIC;

-- Whoever may ask for the time may ask for the holder.
DO $$
DECLARE
    grantee TEXT;
BEGIN
    FOR grantee IN
        SELECT DISTINCT a.grantee::regrole::text
        FROM pg_catalog.pg_proc p, pg_catalog.aclexplode(p.proacl) a
        WHERE p.pronamespace = '"{schema}"'::regnamespace
            AND p.proname = '{events}_projection_now'
            AND a.privilege_type = 'EXECUTE'
            AND a.grantee NOT IN (0, p.proowner)
    LOOP
        EXECUTE 'GRANT EXECUTE ON FUNCTION "{schema}"."{events}_projection_holder"(TEXT, TIMESTAMPTZ, TIMESTAMPTZ) '
            'TO ' || grantee;
    END LOOP;
END;
$$;

-- As before, with that rule.
CREATE OR REPLACE FUNCTION "{schema}"."{events}_projection_acquire"(
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
            IF "{schema}"."{events}_projection_holder"(existing.holder, existing.expires_at, now) <> claimant THEN
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

-- As before, with that rule.
CREATE OR REPLACE FUNCTION "{schema}"."{events}_projection_abandon"(
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
    ELSIF "{schema}"."{events}_projection_holder"(
        shadow.holder,
        shadow.expires_at,
        "{schema}"."{events}_projection_now"()
    ) IS NOT NULL THEN
        outcome := 1;
        holder := shadow.holder;
        expires_at := shadow.expires_at;
    ELSE
        PERFORM "{schema}"."{events}_projection_remove"(shadow.generation);
        outcome := 0;
    END IF;
END;
$$;
