-- $1 data
INSERT INTO "{schema}".by_hand (data) VALUES ($1)
