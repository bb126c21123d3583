-- Where each posting stands: its events folded as turing_domain::Posting folds them. A trigger on the
-- table of events keeps it (see project_posting_events).
--
-- Added to the specified columns:
--   aggregate_version  how many events are folded: those without a gap from version 1
--   terminal           how the posting ended, while it is terminal
--   ended_runs         how it ended in each run, by the run's id
--   run                its way through the run that it entered last
--
-- With the specified columns these are the whole state, and each has the form that the state has as
-- JSON. last_updated is when the last folded event was recorded, so that a row that is rebuilt equals
-- the one before.
CREATE TABLE "{schema}".posting_state_projection (
    posting_id INT PRIMARY KEY,
    current_conversation_id INT,
    execution_sequence INT[],
    outputs JSONB,
    is_terminal BOOLEAN DEFAULT FALSE,
    last_updated TIMESTAMPTZ,
    aggregate_version INT NOT NULL DEFAULT 0,
    terminal JSONB,
    ended_runs JSONB,
    run JSONB,

    FOREIGN KEY (posting_id) REFERENCES "{schema}".postings (posting_id)
);

COMMENT ON TABLE "{schema}".posting_state_projection IS 'where each posting stands, folded from its events';
COMMENT ON COLUMN "{schema}".posting_state_projection.current_conversation_id IS 'the lowest open conversation; if none is open, the last one';
COMMENT ON COLUMN "{schema}".posting_state_projection.execution_sequence IS 'the conversations that completed, in the order of aggregate_version, over all runs';
COMMENT ON COLUMN "{schema}".posting_state_projection.outputs IS 'the latest output of each conversation, by its id';
COMMENT ON COLUMN "{schema}".posting_state_projection.is_terminal IS 'true from posting_terminal until the next run is entered';
COMMENT ON COLUMN "{schema}".posting_state_projection.last_updated IS 'when the last folded event was recorded';
COMMENT ON COLUMN "{schema}".posting_state_projection.aggregate_version IS 'how many events are folded: those without a gap from version 1';
COMMENT ON COLUMN "{schema}".posting_state_projection.terminal IS 'how the posting ended, while it is terminal';
COMMENT ON COLUMN "{schema}".posting_state_projection.ended_runs IS 'how the posting ended in each run, by the id of the run';
COMMENT ON COLUMN "{schema}".posting_state_projection.run IS 'the way through the run that was entered last';
