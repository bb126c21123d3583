-- what readers are served
CREATE OR REPLACE VIEW "{schema}".{table}{options} AS
SELECT {columns}
FROM "{schema}".{models} t
JOIN "{schema}"."{events}_projection_models" m USING (generation)
WHERE m.projection = {projection} AND m.slot = 'active'
