-- How fields of events are read. A note is a field that other programs write too: what does not fit
-- counts as absent. A field is one that only Turing writes: an event in which it does not fit cannot
-- be read. All of these answer null for what does not fit, and none fails.

-- A number of 32 bits without a fraction, or its decimal digits in a string.
CREATE FUNCTION "{schema}".posting_note_int(note JSONB) RETURNS INT
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN note #>> '{}' ~ '^-?0*[0-9]{1,10}$' THEN
        CASE
            WHEN (note #>> '{}')::bigint BETWEEN -2147483648 AND 2147483647 THEN (note #>> '{}')::int
        END
END;

CREATE FUNCTION "{schema}".posting_field_int(field JSONB) RETURNS INT
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN jsonb_typeof(field) = 'number' THEN "{schema}".posting_note_int(field) END;

-- A number of 32 bits without a sign.
CREATE FUNCTION "{schema}".posting_field_count(field JSONB) RETURNS BIGINT
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN jsonb_typeof(field) = 'number' AND field #>> '{}' ~ '^[0-9]{1,10}$' THEN
        CASE WHEN (field #>> '{}')::bigint <= 4294967295 THEN (field #>> '{}')::bigint END
END;

-- A UUID in the forms that programs write: with hyphens, also in braces or as a URN, or without.
CREATE FUNCTION "{schema}".posting_note_uuid(note JSONB) RETURNS UUID
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN jsonb_typeof(note) <> 'string' THEN NULL
    WHEN note #>> '{}' ~ '^([0-9A-Fa-f]{32}|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|\{[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\})$' THEN
        (note #>> '{}')::uuid
    WHEN note #>> '{}' ~ '^[Uu][Rr][Nn]:[Uu][Uu][Ii][Dd]:[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$' THEN
        right(note #>> '{}', 36)::uuid
END;

-- JSON without white space, the keys of objects in the order of their bytes. What is nested deeper
-- than any program of Turing's reads is written as the database writes it.
CREATE FUNCTION "{schema}".posting_compact_json(value JSONB, depth INT DEFAULT 0) RETURNS TEXT
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF depth < 128 THEN
        CASE jsonb_typeof(value)
            WHEN 'array' THEN
                RETURN format('[%s]', (
                    SELECT string_agg("{schema}".posting_compact_json(i.item, depth + 1), ',' ORDER BY i.number)
                    FROM jsonb_array_elements(value) WITH ORDINALITY i (item, number)
                ));
            WHEN 'object' THEN
                RETURN format('{%s}', (
                    SELECT string_agg(
                        format('%s:%s', to_jsonb(f.key), "{schema}".posting_compact_json(f.value, depth + 1)),
                        ',' ORDER BY f.key COLLATE "C"
                    )
                    FROM jsonb_each(value) f
                ));
            ELSE
        END CASE;
    END IF;
    RETURN value::text;
END;
$$;

-- Anything but null is a text: a string as it is, other JSON as JSON.
CREATE FUNCTION "{schema}".posting_note_text(note JSONB) RETURNS TEXT
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE jsonb_typeof(note)
    WHEN 'null' THEN NULL
    WHEN 'string' THEN note #>> '{}'
    ELSE "{schema}".posting_compact_json(note)
END;

-- An instant in RFC 3339, as Turing writes it: in UTC, with six digits of fraction. The year 0, which
-- the database does not know, is reached by way of the same day 400 years later.
CREATE FUNCTION "{schema}".posting_field_instant(field JSONB) RETURNS TEXT
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    part TEXT[];
    first_of_month DATE;
    micros BIGINT;
    instant TIMESTAMP;
BEGIN
    IF jsonb_typeof(field) IS DISTINCT FROM 'string' THEN
        RETURN NULL;
    END IF;
    part := regexp_match(
        field #>> '{}',
        '^([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.]([0-9]+))?(?:[Zz]|([+−-])([0-9]{2}):([0-5][0-9]))$'
    );
    IF part IS NULL
        OR part[2]::int NOT BETWEEN 1 AND 12
        OR part[3]::int NOT BETWEEN 1 AND 31
        OR part[4]::int > 23
        OR part[5]::int > 59
        OR part[6]::int > 60
        OR part[9]::int > 23
    THEN
        RETURN NULL;
    END IF;
    first_of_month := make_date(part[1]::int + 400, part[2]::int, 1);
    IF part[3]::int > extract(day FROM first_of_month + INTERVAL '1 month' - INTERVAL '1 day') THEN
        RETURN NULL;
    END IF;
    micros := (first_of_month - DATE '1970-01-01' + part[3]::int - 1)::bigint * 86400
        + part[4]::int * 3600 + part[5]::int * 60 + part[6]::int;
    IF part[8] IS NOT NULL THEN
        micros := micros
            - (part[9]::int * 3600 + part[10]::int * 60) * CASE part[8] WHEN '+' THEN 1 ELSE -1 END;
    END IF;
    micros := micros * 1000000 + rpad(left(coalesce(part[7], ''), 6), 6, '0')::int;
    -- the years 0 to 9999, 400 years later
    micros := least(greatest(micros, -49544438400000000), 266025081599999999);
    instant := TIMESTAMP 'epoch'
        + (micros / 86400000000) * INTERVAL '1 day'
        + (micros % 86400000000) * INTERVAL '1 microsecond';
    RETURN lpad((extract(year FROM instant)::int - 400)::text, 4, '0')
        || to_char(instant, '-MM-DD"T"HH24:MI:SS.US"Z"');
END;
$$;

-- True if the metadata name a schema version that these functions read.
CREATE FUNCTION "{schema}".posting_reads_version(version JSONB) RETURNS BOOLEAN
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN version IS NULL OR version = '"1.0"' OR CASE jsonb_typeof(version)
    WHEN 'null' THEN TRUE
    WHEN 'number' THEN version #>> '{}' = '1'
    WHEN 'string' THEN
        CASE
            WHEN version #>> '{}' ~ '^0*1$' THEN TRUE
            WHEN version #>> '{}' ~ '^0*1[.]0*[0-9]{1,10}$' THEN
                split_part(version #>> '{}', '.', 2)::bigint <= 4294967295
            ELSE FALSE
        END
    ELSE FALSE
END;

-- A list of conversations with more behind it, each kept at its last place only.
CREATE FUNCTION "{schema}".posting_latest_last(list JSONB, more INT[]) RETURNS JSONB
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF more = '{}' THEN
        RETURN list;
    END IF;
    IF cardinality(more) = 1 AND NOT list @> to_jsonb(more[1]) THEN
        RETURN list || to_jsonb(more[1]);
    END IF;
    RETURN (
        SELECT coalesce(jsonb_agg(l.id ORDER BY l.place), '[]')
        FROM (
            SELECT a.id, max(a.place) AS place
            FROM (
                SELECT o.id, o.place - jsonb_array_length(list) AS place
                FROM jsonb_array_elements(list) WITH ORDINALITY o (id, place)
                UNION ALL
                SELECT to_jsonb(m.id), m.place
                FROM unnest(more) WITH ORDINALITY m (id, place)
            ) a
            GROUP BY a.id
        ) l
    );
END;
$$;

-- The lowest of the conversations that are the keys of an object.
CREATE FUNCTION "{schema}".posting_lowest_key(conversations JSONB) RETURNS INT
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT min("{schema}".posting_note_int(to_jsonb(k.id)))
    FROM jsonb_object_keys(conversations) k (id)
);
