-- Whoever inserts events has ended when this is granted.
LOCK TABLE "{schema}"."{events}" IN SHARE MODE
