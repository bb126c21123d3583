-- The work items. An application's own table of this name is kept as it is, provided that other
-- tables can refer to its posting_id; what it lacks for Turing is added to it.
DO $$
BEGIN
    IF to_regclass('"{schema}".postings') IS NULL THEN
        CREATE TABLE "{schema}".postings (
            posting_id INT PRIMARY KEY,
            data JSONB NOT NULL DEFAULT '{}',
            created_at TIMESTAMPTZ NOT NULL DEFAULT now()
        );
        RETURN;
    END IF;
    IF NOT EXISTS (
        SELECT 1
        FROM pg_catalog.pg_attribute a
        JOIN pg_catalog.pg_index i ON i.indrelid = a.attrelid
            AND i.indisunique
            AND i.indimmediate
            AND i.indisvalid
            AND i.indpred IS NULL
            AND i.indnkeyatts = 1
            AND i.indkey[0] = a.attnum
        WHERE a.attrelid = '"{schema}".postings'::regclass
            AND a.attname = 'posting_id'
            AND a.atttypid = 'int'::regtype
            AND NOT a.attisdropped
    ) THEN
        RAISE EXCEPTION 'the table postings of this database cannot be used: its posting_id must be of type integer and unique'
            USING ERRCODE = 'ES003',
                HINT = 'give it a column posting_id of type integer with a primary key or unique constraint, or use another schema';
    END IF;
    IF EXISTS (
        SELECT 1
        FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = '"{schema}".postings'::regclass
            AND a.attname = 'data'
            AND a.atttypid <> 'jsonb'::regtype
            AND NOT a.attisdropped
    ) THEN
        RAISE EXCEPTION 'the table postings of this database cannot be used: its column data must be of type jsonb'
            USING ERRCODE = 'ES003',
                HINT = 'change the type or the name of that column, or use another schema';
    END IF;
    ALTER TABLE "{schema}".postings ADD COLUMN IF NOT EXISTS data JSONB NOT NULL DEFAULT '{}';
END;
$$;

-- The ids that were given to postings without one, by the digest of their content.
CREATE TABLE "{schema}".assigned_postings (
    digest TEXT PRIMARY KEY,
    posting_id INT NOT NULL UNIQUE
);
