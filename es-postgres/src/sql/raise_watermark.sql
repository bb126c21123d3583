-- $1 position
--
-- Waits for nobody: a process that stands still in the middle of this keeps the row.
UPDATE "{schema}"."{events}_watermark"
SET position = $1
WHERE only_row = (
    SELECT only_row
    FROM "{schema}"."{events}_watermark"
    WHERE position < $1
    FOR UPDATE SKIP LOCKED
)
