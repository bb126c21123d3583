-- a table of a projection, for the rows of all its models
CREATE TABLE "{schema}".{models} (
    generation BIGINT NOT NULL,
    {definitions},
    PRIMARY KEY (generation, {key})
)
