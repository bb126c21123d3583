-- Where the old table and the events differ, or differed: each as long as it is there, and what became
-- of it.
--
--   kind        as in cutover_differences, or import_refused: an old row was written that the events
--               could not take over, for the reason in `new`
--   field       the old table's column
--   resolution  agrees: it was gone when somebody looked again; from-old, from-events: somebody took the
--               one for the other; accepted: it shall stay, as long as old and new are these
CREATE TABLE "{schema}".cutover_discrepancies (
    discrepancy_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    posting_id INT,
    kind TEXT NOT NULL,
    field TEXT,
    old TEXT,
    new TEXT,
    first_seen TIMESTAMPTZ NOT NULL DEFAULT now(),
    last_seen TIMESTAMPTZ NOT NULL DEFAULT now(),
    sightings INT NOT NULL DEFAULT 1,
    resolved_at TIMESTAMPTZ,
    resolution TEXT CHECK (resolution IN ('agrees', 'from-old', 'from-events', 'accepted')),
    resolved_by TEXT,
    reason TEXT,

    CHECK ((resolved_at IS NULL) = (resolution IS NULL))
);

CREATE INDEX idx_cutover_discrepancies_open
    ON "{schema}".cutover_discrepancies (posting_id) WHERE resolved_at IS NULL;
CREATE INDEX idx_cutover_discrepancies_accepted
    ON "{schema}".cutover_discrepancies (posting_id) WHERE resolution = 'accepted';

COMMENT ON TABLE "{schema}".cutover_discrepancies IS 'where an older system''s table and the events differ, or differed';
COMMENT ON COLUMN "{schema}".cutover_discrepancies.resolution IS 'agrees, from-old, from-events or accepted; null while it is open';

CREATE VIEW "{schema}".cutover_open_discrepancies AS
SELECT d.discrepancy_id, d.posting_id, d.kind, d.field, d.old, d.new, d.first_seen, d.last_seen, d.sightings
FROM "{schema}".cutover_discrepancies d
WHERE d.resolved_at IS NULL;

COMMENT ON VIEW "{schema}".cutover_open_discrepancies IS 'discrepancies of the cutover that nobody has resolved';
