-- What programs can show and sort, for rows that are written by hand from now on; those from before
-- stay as they are. Nothing here looks into JSON: that would cost every append.
ALTER TABLE "{schema}"."{events}"
    ADD CONSTRAINT event_type_is_short_and_printable
        CHECK (octet_length(event_type) BETWEEN 1 AND 255 AND event_type !~ '[\x01-\x1f\x7f-\x9f]') NOT VALID,
    ADD CONSTRAINT created_at_is_finite
        CHECK (isfinite(created_at)) NOT VALID;
