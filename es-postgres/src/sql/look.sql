-- $1 position and $2 id of the newest event seen, $3 what was visible at the look before, $4 who held
-- the lock then, $5 a position below everything undecided of each
SELECT is_standby, is_same, drawn, visible, holders, lows, watermark, newest, newest_id, drawn_since
FROM "{schema}"."{events}_look"($1, $2, $3, $4, $5)
