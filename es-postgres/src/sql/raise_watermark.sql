SELECT "{schema}"."{events}_raise_watermark"()
