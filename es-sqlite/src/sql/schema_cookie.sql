-- changes when any program changes the schema
PRAGMA schema_version
