SELECT visible, holders, watermark
FROM "{schema}"."{events}_frontier"()
