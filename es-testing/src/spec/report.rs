//! The text of a failed check, in the order in which a reader asks: what was there, what was
//! expected, what came.

use std::fmt::{Debug, Write};

/// A failure in the making.
pub(super) struct Report {
    text: String,
    /// One line for each decided event, or the rejection.
    actual: Vec<String>,
    rejected: bool,
}

impl Report {
    /// A report that opens with one sentence.
    pub(super) fn new(what: &str) -> Self {
        Self { text: what.to_owned(), actual: Vec::new(), rejected: false }
    }

    pub(super) fn given<E: Debug>(self, events: &[E]) -> Self {
        self.events("given", &lines(events), &[])
    }

    /// What the first of two runs decided.
    pub(super) fn first_run<E: Debug>(self, events: &[E]) -> Self {
        self.events("first run", &lines(events), &[])
    }

    pub(super) fn state<S: Debug>(self, state: &S) -> Self {
        self.part("state", &format!("{state:#?}"))
    }

    pub(super) fn actual<E: Debug, R: Debug>(mut self, outcome: &Result<Vec<E>, R>) -> Self {
        self.rejected = outcome.is_err();
        self.actual = match outcome {
            Ok(events) => lines(events),
            Err(rejection) => vec![format!("{rejection:?}")],
        };
        self
    }

    pub(super) fn expecting_events<E: Debug>(self, expected: &[E]) -> Self {
        let expected = lines(expected);
        let actual = if self.rejected { Vec::new() } else { self.actual.clone() };
        self.events("expected", &expected, &actual).ending_with_actual(&expected)
    }

    pub(super) fn expecting_rejection<R: Debug>(self, expected: &R) -> Self {
        self.part("expected", &format!("rejection {expected:?}")).ending_with_actual(&[])
    }

    pub(super) fn expecting(self, expected: &str) -> Self {
        self.part("expected", expected).ending_with_actual(&[])
    }

    #[track_caller]
    pub(super) fn fail(self) -> ! {
        panic!("{}", self.text)
    }

    fn ending_with_actual(self, expected: &[String]) -> Self {
        let actual = self.actual.clone();
        if self.rejected {
            self.part("actual", &format!("rejection {}", actual.join("")))
        } else {
            self.events("actual", &actual, expected)
        }
    }

    /// A numbered list; what differs from `other` is marked if there is anything to compare with.
    fn events(self, title: &str, events: &[String], other: &[String]) -> Self {
        let numbered = events.iter().enumerate().map(|(i, event)| {
            let differs = !other.is_empty() && other.get(i) != Some(event);
            let mark = if differs { '*' } else { ' ' };
            format!("\n{mark} {}. {event}", i + 1)
        });
        let list: String = numbered.collect();
        let count = match events.len() {
            0 => "no events".to_owned(),
            1 => "1 event".to_owned(),
            count => format!("{count} events"),
        };
        self.part(title, &format!("{count}{list}"))
    }

    fn part(mut self, title: &str, text: &str) -> Self {
        let text = text.replace('\n', "\n           ");
        write!(self.text, "\n{title:>9}: {text}").expect("a String takes any text");
        self
    }
}

fn lines<E: Debug>(events: &[E]) -> Vec<String> {
    events.iter().map(|event| format!("{event:?}")).collect()
}
