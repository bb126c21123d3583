//! The guides for operators, followed as their readers do: what a block says is done, in the order of
//! the page, and what is answered is what the page shows.

#[path = "guides/moving_over.rs"]
mod moving_over;
#[path = "guides/page.rs"]
mod page;
#[path = "guides/reader.rs"]
mod reader;
#[path = "guides/refusals.rs"]
mod refusals;
#[path = "guides/troubleshooting.rs"]
mod troubleshooting;
