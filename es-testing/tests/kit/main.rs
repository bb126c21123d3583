//! What tests of domains use, and the checker of histories; the suites of backends are in `suites`.

mod checker;
mod fault;
mod golden;
mod laws;
mod projection;
mod reaction;
mod spec;
