-- What an INSERT costs the server beside its row: it reads and prepares each CHECK constraint anew for each
-- statement, and a pinned search_path is set up and taken down for each call. So what could not be read
-- back as an event is refused by a trigger, whose expressions a session prepares once, and the triggers
-- of an INSERT name the schema of all that they use, operators and types included.
ALTER TABLE "{schema}"."{events}"
    DROP CONSTRAINT IF EXISTS aggregate_id_is_short_and_printable,
    DROP CONSTRAINT IF EXISTS aggregate_type_is_snake_case,
    DROP CONSTRAINT IF EXISTS aggregate_version_is_positive,
    DROP CONSTRAINT IF EXISTS append_size_is_positive,
    DROP CONSTRAINT IF EXISTS created_at_is_finite,
    DROP CONSTRAINT IF EXISTS event_data_has_64_mib_of_text_at_most,
    DROP CONSTRAINT IF EXISTS event_type_is_short_and_printable,
    DROP CONSTRAINT IF EXISTS metadata_has_64_mib_of_text_at_most,
    DROP CONSTRAINT IF EXISTS metadata_is_a_json_object,
    DROP CONSTRAINT IF EXISTS position_is_positive;

-- Refuses what the constraints refused, under their names and in their order. An ordinary row passes by the
-- first condition, which is in as few calls as can be: each is looked up once for a transaction.
--
-- A row is seen as it was stored, after all other triggers. There a large value is compressed, and a copy of
-- it, by an empty path, tells its size. A count in a regular expression, as {0,63}, costs more than all else.
CREATE FUNCTION "{schema}"."{events}_check_row"() RETURNS trigger
LANGUAGE plpgsql
AS $$
DECLARE
    broken pg_catalog.text;
BEGIN
    IF least(NEW.aggregate_version, NEW.append_size) OPERATOR(pg_catalog.>) 0
        AND NEW.position OPERATOR(pg_catalog.>) 0
        -- lengths first: of a huge text an expression asks for more memory than there is
        AND pg_catalog.octet_length(NEW.aggregate_type) OPERATOR(pg_catalog.<=) 64
        AND NEW.aggregate_type OPERATOR(pg_catalog.~) '^[a-z][a-z0-9_]*$'
        -- a number needs no look
        AND (
            '{id}' OPERATOR(pg_catalog.<>) 'TEXT'
            OR (
                pg_catalog.octet_length(NEW.aggregate_id::pg_catalog.text) OPERATOR(pg_catalog.<=) 255
                AND NEW.aggregate_id::pg_catalog.text OPERATOR(pg_catalog.~) E'^[^\\x01-\\x1f\\x7f-\\x9f]+$'
            )
        )
        AND pg_catalog.octet_length(NEW.event_type) OPERATOR(pg_catalog.<=) 255
        AND NEW.event_type OPERATOR(pg_catalog.~) E'^[^\\x01-\\x1f\\x7f-\\x9f]+$'
        AND pg_catalog.isfinite(NEW.created_at)
        AND pg_catalog.pg_column_size(NEW.event_data OPERATOR(pg_catalog.#>) '{}') OPERATOR(pg_catalog.<=) 8192
        AND (NEW.metadata OPERATOR(pg_catalog.@>) '{}') IS NOT FALSE
        AND (
            pg_catalog.pg_column_size(NEW.metadata OPERATOR(pg_catalog.#>) '{}') OPERATOR(pg_catalog.<=) 8192
        ) IS NOT FALSE
    THEN
        RETURN NULL;
    END IF;

    -- what is null breaks no rule
    broken := CASE
        WHEN '{id}' OPERATOR(pg_catalog.=) 'TEXT'
            AND NOT (
                pg_catalog.octet_length(NEW.aggregate_id::pg_catalog.text) OPERATOR(pg_catalog.<=) 255
                AND NEW.aggregate_id::pg_catalog.text OPERATOR(pg_catalog.~) E'^[^\\x01-\\x1f\\x7f-\\x9f]+$'
            )
        THEN 'aggregate_id_is_short_and_printable: an id has 1 to 255 bytes and no control characters'
        WHEN NOT (
            pg_catalog.octet_length(NEW.aggregate_type) OPERATOR(pg_catalog.<=) 64
            AND NEW.aggregate_type OPERATOR(pg_catalog.~) '^[a-z][a-z0-9_]*$'
        )
        THEN 'aggregate_type_is_snake_case: a type is a letter and up to 63 letters, digits and _, all lower case'
        WHEN NOT NEW.aggregate_version OPERATOR(pg_catalog.>) 0
        THEN 'aggregate_version_is_positive: the next version is one more than the newest of the stream, from 1'
        WHEN NOT NEW.append_size OPERATOR(pg_catalog.>) 0
        THEN 'append_size_is_positive: it is how many events the append with this key wrote to the stream'
        WHEN NOT pg_catalog.isfinite(NEW.created_at)
        THEN 'created_at_is_finite: give a time, or leave created_at out'
        WHEN pg_catalog.pg_column_size(NEW.event_data OPERATOR(pg_catalog.#>) '{}') OPERATOR(pg_catalog.>) 8192
            AND pg_catalog.octet_length(NEW.event_data::pg_catalog.text) OPERATOR(pg_catalog.>) 67108864
        THEN 'event_data_has_64_mib_of_text_at_most: the server could send it to nobody; keep large data elsewhere'
        WHEN NOT (
            pg_catalog.octet_length(NEW.event_type) OPERATOR(pg_catalog.<=) 255
            AND NEW.event_type OPERATOR(pg_catalog.~) E'^[^\\x01-\\x1f\\x7f-\\x9f]+$'
        )
        THEN 'event_type_is_short_and_printable: a type of events has 1 to 255 bytes and no control characters'
        WHEN pg_catalog.pg_column_size(NEW.metadata OPERATOR(pg_catalog.#>) '{}') OPERATOR(pg_catalog.>) 8192
            AND pg_catalog.octet_length(NEW.metadata::pg_catalog.text) OPERATOR(pg_catalog.>) 67108864
        THEN 'metadata_has_64_mib_of_text_at_most: the server could send it to nobody; keep large data elsewhere'
        WHEN NOT (
            pg_catalog.jsonb_typeof(NEW.metadata) OPERATOR(pg_catalog.=) 'object'
            OR pg_catalog.jsonb_typeof(NEW.metadata) OPERATOR(pg_catalog.=) 'null'
        )
        THEN 'metadata_is_a_json_object: give a JSON object, or leave metadata out'
        WHEN NOT NEW.position OPERATOR(pg_catalog.>) 0
        THEN 'position_is_positive: leave position out'
    END;
    IF broken IS NOT NULL THEN
        RAISE EXCEPTION 'new row for relation "%" violates check constraint "%"',
            TG_TABLE_NAME, pg_catalog.split_part(broken, ': ', 1)
            USING ERRCODE = '23514',
                SCHEMA = TG_TABLE_SCHEMA,
                TABLE = TG_TABLE_NAME,
                CONSTRAINT = pg_catalog.split_part(broken, ': ', 1),
                HINT = pg_catalog.split_part(broken, ': ', 2);
    END IF;
    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION "{schema}"."{events}_check_row"() FROM PUBLIC;

-- of an UPDATE, too: the owner can switch off what refuses it
CREATE TRIGGER "{events}_check_row"
AFTER INSERT OR UPDATE ON "{schema}"."{events}"
FOR EACH ROW EXECUTE FUNCTION "{schema}"."{events}_check_row"();

ALTER TABLE "{schema}"."{events}" ENABLE ALWAYS TRIGGER "{events}_check_row";

-- As in step 22, with the name of the sequence written into it, and with one setting: a plan that was made
-- while the table was empty would scan it for ever. The others change nothing about a plan that has to
-- use an index.
DO $do$
BEGIN
    EXECUTE pg_catalog.format($create$
CREATE OR REPLACE FUNCTION "{schema}"."{events}_check_sequence"() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET enable_seqscan = off
AS $body$
DECLARE
    drawn CONSTANT BIGINT := pg_catalog.pg_sequence_last_value(%1$L);
    newest BIGINT;
BEGIN
    SELECT e.position INTO newest
    FROM "{schema}"."{events}" e
    WHERE e.position OPERATOR(pg_catalog.>) drawn
    ORDER BY e.position DESC
    LIMIT 1;
    IF newest IS NULL AND TG_RELID OPERATOR(pg_catalog.=) '"{schema}"."{events}"'::pg_catalog.regclass THEN
        RETURN NULL;
    END IF;
    IF TG_RELID OPERATOR(pg_catalog.<>) '"{schema}"."{events}"'::pg_catalog.regclass THEN
        RAISE EXCEPTION 'the trigger %% is of the table {events} and not of %%', TG_NAME, TG_RELID::pg_catalog.regclass
            USING ERRCODE = 'ES005';
    END IF;
    IF newest OPERATOR(pg_catalog.>) pg_catalog.pg_sequence_last_value(%1$L) THEN
        RAISE EXCEPTION
            'the sequence %% stands at %% and the newest event at %%: an event would stand where readers do '
            'not look any more', %1$L, pg_catalog.pg_sequence_last_value(%1$L), newest
            USING ERRCODE = 'ES007', HINT = pg_catalog.concat(
                'while nobody writes: SELECT setval(', pg_catalog.quote_literal(%1$L::pg_catalog.text),
                ', max(position)) FROM "{schema}"."{events}"; what was written there meanwhile is found by '
                'rebuilding projections'
            );
    END IF;
    RETURN NULL;
END;
$body$
    $create$, pg_catalog.pg_get_serial_sequence('"{schema}"."{events}"', 'position'));
END;
$do$;
