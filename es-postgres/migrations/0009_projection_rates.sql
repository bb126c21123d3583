-- How many events the holder of the lease takes in a second, as it told when it last renewed the
-- lease of this epoch. Who takes or releases the lease need not touch it: it says nothing of other
-- epochs, and nothing without a holder.
ALTER TABLE "{schema}"."{events}_projection_models"
ADD COLUMN rate DOUBLE PRECISION,
ADD COLUMN rate_epoch BIGINT;
