-- Tables that no cutover can begin with, by the name of what is wrong with them.
CREATE TABLE sound (posting_id INT PRIMARY KEY, current_step TEXT, outputs JSONB, steps TEXT[], over BOOLEAN);
CREATE VIEW a_view AS SELECT * FROM sound;
CREATE TABLE partitioned (posting_id INT PRIMARY KEY, outputs JSONB) PARTITION BY RANGE (posting_id);
CREATE FOREIGN DATA WRAPPER elsewhere;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER elsewhere;
CREATE FOREIGN TABLE a_foreign_table (posting_id INT NOT NULL, outputs JSONB) SERVER elsewhere;
CREATE TABLE guarded (posting_id INT PRIMARY KEY, outputs JSONB);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE TABLE repeated (posting_id INT NOT NULL, outputs JSONB);
CREATE TABLE nullable (posting_id INT UNIQUE, outputs JSONB);
CREATE TABLE other_types (
    posting_id INT PRIMARY KEY,
    name TEXT UNIQUE NOT NULL,
    amount NUMERIC,
    at DATE,
    picture BYTEA,
    flag BOOLEAN
);
