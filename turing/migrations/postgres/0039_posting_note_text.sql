-- Anything but null is a text: a string as it is, other JSON without the white space that the database
-- writes behind commas and colons. Every digit stays, and keys stand in the database's own order,
-- which is that of the canonical form of programs.
CREATE OR REPLACE FUNCTION "{schema}".posting_note_text(note JSONB) RETURNS TEXT
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE jsonb_typeof(note)
    WHEN 'null' THEN NULL
    WHEN 'string' THEN note #>> '{}'
    -- a string is kept as a whole, so what looks like a separator in it is none
    ELSE regexp_replace(note::text, E'("(?:[^"\\\\]|\\\\.)*")|([,:]) ', E'\\1\\2', 'g')
END;

-- nothing else called it
DROP FUNCTION "{schema}".posting_compact_json(JSONB, INT);
