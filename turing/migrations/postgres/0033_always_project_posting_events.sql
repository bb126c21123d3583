-- Whoever inserts events has them projected, whatever session_replication_role says: a server or a
-- database that a restore or a replication left at replica would leave out triggers that are enabled
-- in the usual way, without a word.
ALTER TABLE "{schema}"."{events}" ENABLE ALWAYS TRIGGER project_posting_events;
