-- Ids of text were compared by the rules of the database's language, which an update of the system's
-- locales may change: the unique index would then miss versions that are there. From now on they are
-- in collation "C", as the other text is. The rows stay as they are; the indexes are built again,
-- which takes an exclusive lock, and is refused if a stream has a version twice already.
--
-- The index of metadata ->> 'conversation_id' stays in the database's collation: with another one the
-- specified queries would not use it. No answer of the store rests on it.
DO $$
BEGIN
    IF '{id}' = 'TEXT' THEN
        ALTER TABLE "{schema}"."{events}" ALTER COLUMN aggregate_id TYPE TEXT COLLATE "C";
        ALTER TABLE "{schema}"."{events}_snapshots" ALTER COLUMN aggregate_id TYPE TEXT COLLATE "C";
    END IF;
END;
$$;
