-- a table of a projection, for the rows of all its models
CREATE TABLE {models} (
    generation INTEGER NOT NULL,
    {definitions},
    PRIMARY KEY (generation, {key})
) STRICT, WITHOUT ROWID
