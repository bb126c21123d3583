-- One model of a projection: the active one is served, the shadow is being filled by a rebuild.
-- Applications may refer to a generation ON DELETE CASCADE: with its model their rows go, too.
CREATE TABLE "{schema}"."{events}_projection_models" (
    generation BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    projection TEXT COLLATE "C" NOT NULL,
    slot TEXT COLLATE "C" NOT NULL CHECK (slot IN ('active', 'shadow')),
    fingerprint TEXT NOT NULL,
    epoch BIGINT NOT NULL DEFAULT 0,
    holder TEXT,
    expires_at TIMESTAMPTZ,

    UNIQUE (projection, slot),
    CHECK ((holder IS NULL) = (expires_at IS NULL))
);

-- How far each slice of a model has come, and the event by which the log is known again. What a
-- commit counts stands here and not in the model, so that the slices of a rebuild are committed
-- beside one another.
CREATE TABLE "{schema}"."{events}_projection_slices" (
    generation BIGINT NOT NULL,
    slice INT NOT NULL,
    position BIGINT NOT NULL DEFAULT 0,
    event_position BIGINT,
    event_id UUID,
    aggregate_type TEXT,
    aggregate_id TEXT,
    aggregate_version BIGINT,
    events BIGINT NOT NULL DEFAULT 0,
    committed_at TIMESTAMPTZ,
    trouble TEXT,
    trouble_at TIMESTAMPTZ,

    PRIMARY KEY (generation, slice),
    CHECK ((trouble IS NULL) = (trouble_at IS NULL))
) WITH (fillfactor = 50);

-- Rows are written over and over: the room lets the server keep the new version on the page of the
-- old one, and the index as it is.
CREATE TABLE "{schema}"."{events}_projection_rows" (
    generation BIGINT NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    value JSONB NOT NULL,

    PRIMARY KEY (generation, key)
) WITH (fillfactor = 80);

-- References to events that are not in a model, and why.
CREATE TABLE "{schema}"."{events}_projection_parked" (
    generation BIGINT NOT NULL,
    position BIGINT NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    event_id UUID NOT NULL,
    aggregate_type TEXT NOT NULL,
    aggregate_id TEXT NOT NULL,
    aggregate_version BIGINT NOT NULL,
    reason TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    parked_at TIMESTAMPTZ NOT NULL,
    state TEXT COLLATE "C" NOT NULL CHECK (state IN ('waiting', 'due', 'discarded')),
    discard_reason TEXT,
    discarded_at TIMESTAMPTZ,

    PRIMARY KEY (generation, key, position),
    CHECK (
        (state = 'discarded') = (discard_reason IS NOT NULL)
        AND (state = 'discarded') = (discarded_at IS NOT NULL)
    )
);

-- The condition always holds. A statement that wants the index says so by repeating it; those that
-- look for a key take the primary key then, also when their plan was made while the table was empty.
CREATE INDEX "{events}_projection_order"
ON "{schema}"."{events}_projection_parked" (generation, position, key)
WHERE position >= 0;

CREATE INDEX "{events}_projection_due"
ON "{schema}"."{events}_projection_parked" (generation)
WHERE state = 'due';

-- What readers are served.
CREATE VIEW "{schema}"."{events}_projection_active" AS
SELECT m.projection, r.key, r.value
FROM "{schema}"."{events}_projection_models" m
JOIN "{schema}"."{events}_projection_rows" r ON r.generation = m.generation
WHERE m.slot = 'active';

-- The clock by which leases expire: the server's, so that processes need not agree on the time.
CREATE FUNCTION "{schema}"."{events}_projection_now"()
RETURNS TIMESTAMPTZ
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT clock_timestamp();
$$;
