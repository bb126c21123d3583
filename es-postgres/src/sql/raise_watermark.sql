-- $1 position
UPDATE "{schema}"."{events}_watermark"
SET position = $1
WHERE position < $1
