SELECT visible, holders, watermark, newest
FROM "{schema}"."{events}_frontier"()
