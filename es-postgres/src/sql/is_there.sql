SELECT "{schema}"."{events}_is_there"($1, $2)
