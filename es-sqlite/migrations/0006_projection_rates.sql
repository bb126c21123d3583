-- How many events the holder of the lease takes in a second, as it told with its last renewal.
ALTER TABLE projection_models
ADD COLUMN rate REAL;

PRAGMA user_version = 6;
