//! The stack on which the tests of the macro run.

use std::panic::resume_unwind;
use std::thread;

use super::LawViolation;

/// Room for the value trees of large strategies, which unoptimized code copies from frame to frame.
const STACK_BYTES: usize = 64 * 1024 * 1024;

/// Checks a law on a stack that is large enough for any strategy.
///
/// # Panics
///
/// As `check` does.
#[doc(hidden)]
pub fn __on_a_large_stack(
    check: impl FnOnce() -> Result<(), LawViolation> + Send + 'static,
) -> Result<(), LawViolation> {
    // the thread of a test is named after it, and a panic shows the name
    let name = thread::current().name().unwrap_or("law").to_owned();
    let law = thread::Builder::new().name(name).stack_size(STACK_BYTES).spawn(check);
    let law = law.expect("a thread can be started");
    law.join().unwrap_or_else(|panic| resume_unwind(panic))
}
