-- As before, without writing an output as text that is one: no key stands in it, and it is most of what an
-- event has.
CREATE OR REPLACE FUNCTION "{schema}".posting_has_reserved_key(document JSONB) RETURNS BOOLEAN
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(
    CASE jsonb_typeof(document -> 'output')
        WHEN 'string' THEN document - 'output'
        ELSE document
    END::text LIKE '%"$serde_json::private::%'
    AND document::text ~ '[{ ]"[$]serde_json::private::(RawValue|Number)":',
    FALSE
);
