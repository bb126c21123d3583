//! Nothing: its test has es-postgres in a build in which no other crate enables TLS.
