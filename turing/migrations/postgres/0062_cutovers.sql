-- How far an older system's states of postings are moved over to events; its history is the stream
-- cutover/1. `phase` is 0 for none, 1 created, 2 dual-write, 3 validated, 4 reads-switched, 5 deprecated.
--
--   old_schema, old_name  the name by which programs know the old table, also where a view has it by now
--   old_table             the table itself, whatever its name is; null once it is dropped
--   mapping               what its columns mean, see cutover_check_mapping
--   columns_digest        of its columns when the cutover was created, see cutover_columns
--   forms                 how it writes conversations, see cutover_forms
CREATE TABLE "{schema}".cutovers (
    id INT PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    phase INT NOT NULL DEFAULT 0 CHECK (phase BETWEEN 0 AND 5),
    old_schema TEXT,
    old_name TEXT,
    old_table REGCLASS,
    mapping JSONB,
    columns_digest TEXT,
    forms JSONB,
    is_backfilled BOOLEAN NOT NULL DEFAULT FALSE,
    backfilled_through INT,
    backfill_total BIGINT,
    backfill_done BIGINT,
    backfill_imported BIGINT NOT NULL DEFAULT 0,
    backfill_written_back BIGINT NOT NULL DEFAULT 0,
    backfill_refused BIGINT NOT NULL DEFAULT 0,
    changed_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

COMMENT ON TABLE "{schema}".cutovers IS 'how far an older system''s states of postings are moved over to events';
COMMENT ON COLUMN "{schema}".cutovers.phase IS '0 none, 1 created, 2 dual-write, 3 validated, 4 reads-switched, 5 deprecated';
COMMENT ON COLUMN "{schema}".cutovers.old_table IS 'the table itself, whatever its name is by now';
