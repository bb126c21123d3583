INSERT INTO {table} (version, description, success, checksum, execution_time)
VALUES ({version}, '{description}', TRUE, '\x{checksum}', -1);
