-- Small words of the cutover, which read nothing but what they are given. A conversation is written by
-- the older system as a number or as the name of a step; `steps` says which is which.

CREATE FUNCTION "{schema}".cutover_conversation(steps JSONB, written TEXT) RETURNS INT
LANGUAGE sql STABLE
RETURN CASE
    WHEN steps ? written THEN "{schema}".posting_note_int(steps -> written)
    ELSE "{schema}".posting_note_int(to_jsonb(written))
END;

-- The name of a step by the number of its conversation; of several names the first in the order of
-- their bytes.
CREATE FUNCTION "{schema}".cutover_step_names(steps JSONB) RETURNS JSONB
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT coalesce(jsonb_object_agg(s.id, s.name), '{}')
        FROM (
            SELECT e.value AS id, min(e.key COLLATE "C") AS name
            FROM jsonb_each_text(steps) e
            GROUP BY e.value
        ) s
    );
END;
$$;

-- JSON that may be none; null where it is none that the database can hold.
CREATE FUNCTION "{schema}".cutover_json(written TEXT) RETURNS JSONB
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN written::jsonb;
EXCEPTION
    WHEN OTHERS THEN
        RETURN NULL;
END;
$$;

-- A row as text, whatever the session is set to.
CREATE FUNCTION "{schema}".cutover_row_text(old_row RECORD) RETURNS TEXT
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET "TimeZone" = 'UTC'
SET "DateStyle" = 'ISO, YMD'
SET "IntervalStyle" = 'postgres'
SET bytea_output = 'hex'
SET extra_float_digits = 1
SET xmlbinary = 'base64'
AS $$
BEGIN
    RETURN old_row::text;
END;
$$;

-- A value in 200 characters at most. What is cut off still tells one value from another.
CREATE FUNCTION "{schema}".cutover_short(value TEXT) RETURNS TEXT
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT CASE
            WHEN length(value) <= 200 THEN value
            WHEN value IS NOT NULL THEN format(
                '%s… (%s characters, SHA-256 %s…)',
                left(value, 140), length(value), left(encode(sha256(convert_to(value, 'UTF8')), 'hex'), 16)
            )
        END
    );
END;
$$;

-- A name with an ending, as much of it as fits.
CREATE FUNCTION "{schema}".cutover_name(name TEXT, ending TEXT) RETURNS TEXT
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    WHILE octet_length(name) + octet_length(ending) > 63 LOOP
        name := left(name, -1);
    END LOOP;
    RETURN name || ending;
END;
$$;

-- The type below domains.
CREATE FUNCTION "{schema}".cutover_base_type(type OID) RETURNS OID
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    below OID;
BEGIN
    LOOP
        SELECT t.typbasetype INTO below FROM pg_type t WHERE t.oid = type AND t.typtype = 'd';
        EXIT WHEN NOT FOUND;
        type := below;
    END LOOP;
    RETURN type;
END;
$$;

-- Which of these names is the most like another one: the least number of letters that are put in, left
-- out or exchanged, if that is at most two, or a third of them.
CREATE FUNCTION "{schema}".cutover_nearest(name TEXT, names TEXT[]) RETURNS TEXT
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted CONSTANT TEXT := lower(name);
    one TEXT;
    other TEXT;
    above INT[];
    line INT[];
    nearest TEXT;
    fewest INT := greatest(length(name) / 3, 2) + 1;
BEGIN
    FOREACH one IN ARRAY coalesce(names, '{}') LOOP
        other := lower(one);
        line := ARRAY(SELECT generate_series(0, length(other)));
        FOR i IN 1 .. length(wanted) LOOP
            above := line;
            line[1] := i;
            FOR j IN 1 .. length(other) LOOP
                line[j + 1] := least(
                    above[j + 1] + 1,
                    line[j] + 1,
                    above[j] + CASE WHEN substr(wanted, i, 1) = substr(other, j, 1) THEN 0 ELSE 1 END
                );
            END LOOP;
        END LOOP;
        IF line[length(other) + 1] < fewest THEN
            fewest := line[length(other) + 1];
            nearest := one;
        END IF;
    END LOOP;
    RETURN nearest;
END;
$$;

REVOKE ALL ON FUNCTION
    "{schema}".cutover_conversation(JSONB, TEXT),
    "{schema}".cutover_step_names(JSONB),
    "{schema}".cutover_json(TEXT),
    "{schema}".cutover_row_text(RECORD),
    "{schema}".cutover_short(TEXT),
    "{schema}".cutover_name(TEXT, TEXT),
    "{schema}".cutover_base_type(OID),
    "{schema}".cutover_nearest(TEXT, TEXT[])
FROM PUBLIC;
