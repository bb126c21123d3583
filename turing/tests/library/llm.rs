//! Language models behind a server in this process: what is asked, and every ending.

mod answers;
mod connections;
mod endings;
mod endpoints;
mod failures;
mod requests;
mod schemas;
mod secrets;
pub(crate) mod server;
mod streams;
mod thoughts;
mod times;
mod tls;
