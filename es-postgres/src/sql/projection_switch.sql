SELECT outcome, behind, foremost
FROM "{schema}"."{events}_projection_switch"($1, $2)
