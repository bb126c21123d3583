-- Events are facts: nothing changes or removes them, whoever is connected.
CREATE FUNCTION "{schema}"."{events}_refuse"() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'ES002', HINT = 'append an event that says what has changed';
END;
$$;

CREATE TRIGGER "{events}_are_append_only"
BEFORE UPDATE OR DELETE OR TRUNCATE ON "{schema}"."{events}"
FOR EACH STATEMENT EXECUTE FUNCTION "{schema}"."{events}_refuse"();
