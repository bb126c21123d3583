//! Test kit for event-sourced domains and for backends of es-core
