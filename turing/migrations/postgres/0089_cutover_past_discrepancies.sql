-- What a cutover has found outlives it: when the next one is created, its records go to a table of their own.
--
--   cutover      the cutover that found it, by the version of its event cutover_created on cutover/1; 0 if
--                there is no such event
--   old_table    the name by which programs knew its old table
--   archived_at  when the next cutover was created
--
-- One that nobody had resolved is open here, too.
CREATE TABLE "{schema}".cutover_past_discrepancies (
    cutover INT NOT NULL,
    old_table TEXT,
    archived_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    discrepancy_id BIGINT PRIMARY KEY,
    posting_id INT,
    kind TEXT NOT NULL,
    field TEXT,
    old TEXT,
    new TEXT,
    first_seen TIMESTAMPTZ NOT NULL,
    last_seen TIMESTAMPTZ NOT NULL,
    sightings INT NOT NULL,
    resolved_at TIMESTAMPTZ,
    resolution TEXT,
    resolved_by TEXT,
    reason TEXT,
    accepted_before BIGINT
);

COMMENT ON TABLE "{schema}".cutover_past_discrepancies IS 'where the tables of earlier cutovers and the events differed, and what became of it';

-- What was accepted holds until one of both sides changes. What they differ in then is a discrepancy of its
-- own, which names the one that was accepted; that one is 'changed'.
--
-- A record that nobody has seen (sightings = 0) says that both came to agree where they had been accepted to
-- differ: what is before it does not hold any more.
ALTER TABLE "{schema}".cutover_discrepancies ADD COLUMN accepted_before BIGINT;
ALTER TABLE "{schema}".cutover_discrepancies
    DROP CONSTRAINT cutover_discrepancies_resolution_check,
    ADD CONSTRAINT cutover_discrepancies_resolution_check
        CHECK (resolution IN ('agrees', 'from-old', 'from-events', 'accepted', 'changed'));

CREATE INDEX idx_cutover_discrepancies_over
    ON "{schema}".cutover_discrepancies (posting_id) WHERE sightings = 0;

COMMENT ON COLUMN "{schema}".cutover_discrepancies.accepted_before IS 'the discrepancy that was accepted until this one took its place';
COMMENT ON COLUMN "{schema}".cutover_discrepancies.resolution IS 'agrees, from-old, from-events, accepted or changed; null while it is open';

CREATE OR REPLACE VIEW "{schema}".cutover_open_discrepancies AS
SELECT
    d.discrepancy_id, d.posting_id, d.kind, d.field, d.old, d.new, d.first_seen, d.last_seen, d.sightings,
    d.accepted_before
FROM "{schema}".cutover_discrepancies d
WHERE d.resolved_at IS NULL;

-- It is theirs who have the present ones.
DO $$
DECLARE
    made TEXT;
BEGIN
    EXECUTE format(
        'ALTER TABLE "{schema}".cutover_past_discrepancies OWNER TO %s',
        (SELECT c.relowner::regrole FROM pg_catalog.pg_class c WHERE c.oid = '"{schema}".cutover_discrepancies'::regclass)
    );
    FOR made IN
        SELECT g.made
        FROM "{schema}".cutover_grants(
            '"{schema}".cutover_discrepancies'::regclass::oid, '"{schema}".cutover_past_discrepancies'::text
        ) g (made)
    LOOP
        EXECUTE made;
    END LOOP;
END;
$$;
