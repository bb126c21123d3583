-- $1 position and $2 id of the newest event seen, $3 what was visible at the look before and $4 the id of
-- the event there, $5 who held the lock then, $6 a position below everything undecided of each
SELECT
    is_standby, is_same, drawn, visible, visible_id, holders, lows, is_watermark_wrong, newest, newest_id,
    drawn_since
FROM "{schema}"."{events}_next_look"($1, $2, $3, $4, $5, $6)
