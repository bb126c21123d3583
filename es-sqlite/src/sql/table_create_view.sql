-- what readers are served
CREATE VIEW {table} AS
SELECT {columns}
FROM {models} t
JOIN projection_models m USING (generation)
WHERE m.projection = {projection} AND m.slot = 'active'
