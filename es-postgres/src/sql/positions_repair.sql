SELECT setval(pg_get_serial_sequence('"{schema}"."{events}"', 'position'), max(position)) FROM "{schema}"."{events}"
