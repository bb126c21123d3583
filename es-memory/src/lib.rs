//! The in-memory reference store of es-core
