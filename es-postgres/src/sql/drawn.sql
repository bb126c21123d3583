SELECT "{schema}"."{events}_drawn"()
