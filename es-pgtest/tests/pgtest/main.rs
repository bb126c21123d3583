//! The server, and what is put in front of it.
#![allow(clippy::unwrap_used, reason = "what cannot be set up fails its test")]

mod pooler;
mod proxy;
mod server;
