-- What looks remember points into one history: a position that is kept is kept with the id of its event,
-- the highest visible one and the frontier that is written down, too. Without, the positions of a log that
-- was lost in a failover, or that was restored, would be taken for those of the log that is there, and
-- what an open transaction has drawn below them would be passed over.

ALTER TABLE "{schema}"."{events}_watermark"
    ADD COLUMN position_id UUID,
    ADD COLUMN visible_id UUID;

-- counted anew, with ids
UPDATE "{schema}"."{events}_watermark" SET position = 0, visible = 0, holders = '{}', lows = '{}';

-- Whether this event stands at this position; position 0 is no event, and is in every history.
CREATE FUNCTION "{schema}"."{events}_is_there"(at_position BIGINT, at_id UUID) RETURNS BOOLEAN
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
    RETURN at_position = 0 OR EXISTS (
        SELECT
        FROM "{schema}"."{events}" e
        WHERE e.position = at_position AND e.event_id = at_id
    );
END;
$$;

-- As {events}_look, which programs of before call, with the event at "before".
CREATE FUNCTION "{schema}"."{events}_next_look"(
    seen BIGINT,
    seen_id UUID,
    before BIGINT,
    before_id UUID,
    known TEXT[],
    known_lows BIGINT[],
    OUT is_standby BOOLEAN,
    OUT is_same BOOLEAN,
    OUT drawn BIGINT,
    OUT visible BIGINT,
    OUT visible_id UUID,
    OUT holders TEXT[],
    OUT lows BIGINT[],
    OUT watermark BIGINT,
    OUT is_watermark_wrong BOOLEAN,
    OUT newest BIGINT,
    OUT newest_id UUID,
    OUT drawn_since BIGINT
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
DECLARE
    reach BIGINT;
BEGIN
    is_standby := pg_is_in_recovery();
    IF is_standby THEN
        RETURN;
    END IF;
    is_same := "{schema}"."{events}_is_there"(seen, seen_id)
        AND "{schema}"."{events}_is_there"(before, before_id);
    drawn := "{schema}"."{events}_drawn"();
    visible := greatest("{schema}"."{events}_visible"(known, known_lows), before);
    SELECT h.holders, h.holder_lows INTO holders, lows
    FROM "{schema}"."{events}_holders"(known, known_lows, before) h;
    IF visible = before THEN
        visible_id := before_id;
    ELSE
        SELECT e.event_id INTO visible_id FROM "{schema}"."{events}" e WHERE e.position = visible;
    END IF;
    SELECT w.position, NOT "{schema}"."{events}_is_there"(w.position, w.position_id)
    INTO watermark, is_watermark_wrong
    FROM "{schema}"."{events}_watermark" w;
    IF is_watermark_wrong THEN
        watermark := 0;
    END IF;
    watermark := coalesce(watermark, 0);
    is_watermark_wrong := coalesce(is_watermark_wrong, FALSE);
    IF watermark > 0 THEN
        -- what is below a frontier of this history is decided, whoever has seen it
        SELECT coalesce(array_agg(greatest(l.low, watermark) ORDER BY l.place), '{}') INTO lows
        FROM unnest(lows) WITH ORDINALITY l (low, place);
        seen := greatest(seen, watermark);
    END IF;
    SELECT greatest(least(coalesce(min(l), visible), visible), seen) INTO reach FROM unnest(lows) l;
    SELECT e.position, e.event_id INTO newest, newest_id
    FROM "{schema}"."{events}" e
    WHERE e.position <= reach
    ORDER BY e.position DESC
    LIMIT 1;
    newest := coalesce(newest, 0);
    -- who has drawn meanwhile is in no answer: one more look shows it
    drawn_since := "{schema}"."{events}_drawn"();
END;
$$;

-- As before, with the ids.
CREATE OR REPLACE FUNCTION "{schema}"."{events}_raise_watermark"() RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
    kept RECORD;
    now_visible BIGINT;
    now_visible_id UUID;
    now_holders TEXT[];
    now_lows BIGINT[];
    reach BIGINT;
    reach_id UUID;
BEGIN
    SELECT w.position, w.position_id, w.visible, w.visible_id, w.holders, w.lows INTO kept
    FROM "{schema}"."{events}_watermark" w
    FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF NOT "{schema}"."{events}_is_there"(kept.position, kept.position_id)
        OR NOT "{schema}"."{events}_is_there"(kept.visible, kept.visible_id)
    THEN
        -- written by hand, or of another history
        kept.position := 0;
        kept.position_id := NULL;
        kept.visible := 0;
        kept.visible_id := NULL;
        kept.holders := '{}';
        kept.lows := '{}';
    END IF;
    now_visible := greatest("{schema}"."{events}_visible"(kept.holders, kept.lows), kept.visible);
    SELECT h.holders, h.holder_lows INTO now_holders, now_lows
    FROM "{schema}"."{events}_holders"(kept.holders, kept.lows, kept.visible) h;
    SELECT greatest(kept.position, least(coalesce(min(l), now_visible), now_visible)) INTO reach
    FROM unnest(now_lows) l;
    SELECT e.position, e.event_id INTO reach, reach_id
    FROM "{schema}"."{events}" e
    WHERE e.position <= reach
    ORDER BY e.position DESC
    LIMIT 1;
    SELECT e.event_id INTO now_visible_id FROM "{schema}"."{events}" e WHERE e.position = now_visible;
    UPDATE "{schema}"."{events}_watermark" w
    SET position = coalesce(reach, 0),
        position_id = reach_id,
        visible = now_visible,
        visible_id = now_visible_id,
        holders = now_holders,
        lows = now_lows
    WHERE (w.position, w.position_id, w.visible, w.visible_id, w.holders, w.lows)
        IS DISTINCT FROM
        (coalesce(reach, 0), reach_id, now_visible, now_visible_id, now_holders, now_lows);
END;
$$;

REVOKE EXECUTE ON FUNCTION
    "{schema}"."{events}_is_there"(BIGINT, UUID),
    "{schema}"."{events}_next_look"(BIGINT, UUID, BIGINT, UUID, TEXT[], BIGINT[])
FROM PUBLIC;

-- Whoever may look may look like this.
DO $$
DECLARE
    grantee TEXT;
BEGIN
    FOR grantee IN
        SELECT DISTINCT a.grantee::regrole::text
        FROM pg_catalog.pg_proc p, pg_catalog.aclexplode(p.proacl) a
        WHERE p.pronamespace = '"{schema}"'::regnamespace
            AND p.proname = '{events}_look'
            AND a.privilege_type = 'EXECUTE'
            AND a.grantee NOT IN (0, p.proowner)
    LOOP
        EXECUTE 'GRANT EXECUTE ON FUNCTION "{schema}"."{events}_is_there"(BIGINT, UUID), '
            '"{schema}"."{events}_next_look"(BIGINT, UUID, BIGINT, UUID, TEXT[], BIGINT[]) TO ' || grantee;
    END LOOP;
END;
$$;

-- Positions that no follower would ever see, because all begin behind zero.
ALTER TABLE "{schema}"."{events}"
    ADD CONSTRAINT position_is_positive CHECK (position > 0) NOT VALID;
