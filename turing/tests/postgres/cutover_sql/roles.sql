-- an older system, who moves it over, who writes and who looks
CREATE ROLE legacy LOGIN;
CREATE ROLE mover LOGIN;
CREATE ROLE worker LOGIN;
CREATE ROLE looker LOGIN;
GRANT turing_owner TO mover;
GRANT turing_writer TO worker;
GRANT turing_reader TO looker;
CREATE SCHEMA theirs AUTHORIZATION legacy;
SET ROLE legacy;
CREATE TABLE theirs.states (posting INT PRIMARY KEY, step INT, note TEXT);
INSERT INTO theirs.states VALUES (1, 10, '');
RESET ROLE
