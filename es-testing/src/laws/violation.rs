//! A broken law with its smallest case, and the run that finds it.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use es_core::event::Decoded;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

/// A law that does not hold, and the smallest case found in which it does not.
///
/// `Debug` is the same text as `Display`, so that a test can return it.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("the law `{law}` does not hold for {subject}: {reason}{}", shown(case))]
pub struct LawViolation {
    law: &'static str,
    subject: &'static str,
    reason: String,
    case: Option<String>,
}

fn shown(case: &Option<String>) -> String {
    let case = case.as_ref().map(|case| format!("\nsmallest case: {case}"));
    case.unwrap_or_default()
}

impl LawViolation {
    /// The name of the law.
    pub fn law(&self) -> &'static str {
        self.law
    }

    pub(super) fn new(law: &'static str, subject: &'static str, reason: String) -> Self {
        Self { law, subject, reason, case: None }
    }
}

impl fmt::Debug for LawViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Runs `check` on generated cases; a panic of it breaks the law like an error.
pub(super) fn for_all<S: Strategy>(
    law: &'static str,
    subject: &'static str,
    cases: &S,
    check: impl Fn(S::Value) -> Result<(), String>,
) -> Result<(), LawViolation> {
    let config = Config { failure_persistence: None, ..Config::default() };
    let checked = TestRunner::new(config).run(cases, |case| {
        no_panic(|| check(case)).and_then(|checked| checked).map_err(TestCaseError::fail)
    });
    let (reason, case) = match checked {
        Ok(()) => return Ok(()),
        Err(TestError::Fail(reason, case)) => (reason.message().to_owned(), case),
        Err(TestError::Abort(reason)) => {
            let reason = format!("no cases could be generated: {}", reason.message());
            return Err(LawViolation::new(law, subject, reason));
        }
    };
    Err(LawViolation {
        case: Some(format!("{case:#?}")),
        ..LawViolation::new(law, subject, reason)
    })
}

/// What `call` answers, or the text of its panic.
pub(crate) fn no_panic<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| format!("panic: {}", text_of(&*panic)))
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a text")
}

/// The event, if it is one.
pub(crate) fn one<E>(decoded: Decoded<E>) -> Result<E, String> {
    match decoded {
        Decoded::One(event) => Ok(event),
        other => Err(format!("it stands for {} events, not for one", other.into_iter().count())),
    }
}

/// The error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
