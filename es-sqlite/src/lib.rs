//! The embedded durable store of es-core, on SQLite
