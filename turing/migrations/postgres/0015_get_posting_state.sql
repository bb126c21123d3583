-- Where a posting stands: its row of posting_state_projection; none if it has no events.
CREATE FUNCTION "{schema}".get_posting_state(posting_id INT)
RETURNS SETOF "{schema}".posting_state_projection
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.*
    FROM "{schema}".posting_state_projection p
    WHERE p.posting_id = get_posting_state.posting_id
$$;

COMMENT ON FUNCTION "{schema}".get_posting_state(INT) IS 'where a posting stands: its row of posting_state_projection';
