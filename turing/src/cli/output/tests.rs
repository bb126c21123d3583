//! Answers as they are printed, and what keeps them from it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::*;

/// Takes so many bytes, and fails from then on.
struct Full {
    room: usize,
    kind: io::ErrorKind,
    calls: Arc<AtomicUsize>,
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match bytes.len().min(self.room) {
            0 => Err(self.kind.into()),
            taken => {
                self.room -= taken;
                Ok(taken)
            }
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn after_a_failure_nothing_is_written_and_the_first_one_is_told() {
    for (kind, piece, is_error) in [
        (io::ErrorKind::StorageFull, 1, true),
        (io::ErrorKind::StorageFull, usize::MAX, true),
        (io::ErrorKind::BrokenPipe, 1, false),
        (io::ErrorKind::BrokenPipe, usize::MAX, false),
    ] {
        let calls = Arc::default();
        let full = Full { room: 4, kind, calls: Arc::clone(&calls) };
        let mut output = Output::to(full, piece);
        output.line("one");
        assert!(!output.is_over());
        output.line("two");
        assert_eq!(output.is_over(), piece == 1);
        let before = calls.load(Ordering::SeqCst);
        output.json(&1);
        if piece == 1 {
            assert_eq!(calls.load(Ordering::SeqCst), before);
        }
        assert_eq!(output.finish().is_err(), is_error, "{kind:?} {piece}");
    }
}

/// Where an output writes to, to be read by the test.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_text_is_whole_and_hangs_behind_what_belongs_before_it_on_a_terminal() {
    let printed = |columns: Option<usize>, before: &str, text: &str| {
        let written = Written::default();
        let mut output = Output { columns, ..Output::to(written.clone(), 1) };
        output.hanging(before, text);
        output.finish().unwrap();
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    };
    let text = "twelve words ".repeat(6) + "\n" + &"x".repeat(50);
    let whole = format!("1   {}⏎{}\n", "twelve words ".repeat(6), "x".repeat(50));
    assert_eq!(printed(None, "1   ", &text), whole);
    let first = format!("1   {}\n", "twelve words ".repeat(3).trim_end());
    let wide = printed(Some(45), "1   ", &text);
    assert!(wide.starts_with(&first), "{wide}");
    assert!(wide.lines().skip(1).all(|line| line.starts_with("    ")), "{wide}");
    for columns in [45, 30, 13] {
        let lines = printed(Some(columns), "1   ", &text);
        assert!(lines.lines().all(|line| line.chars().count() <= columns), "{lines}");
        assert_eq!(lines.matches("twelve").count(), 6, "{lines}");
        assert_eq!(lines.matches('x').count(), 50, "{lines}");
    }
    assert_eq!(printed(Some(1), "1   ", "ab"), "1\n      ab\n");
    assert_eq!(printed(Some(80), "1   ", ""), "1\n");
}

#[test]
fn a_value_that_is_no_json_is_an_answer_that_cannot_be_printed() {
    let mut output = Output::to(io::sink(), 1);
    output.json_line(&BTreeMap::from([((), 1)]));
    let unprinted = output.finish().unwrap_err();
    assert!(matches!(unprinted, Unprinted::Json(_)), "{unprinted:?}");
}

#[test]
fn json_for_people_is_json() {
    let value = json!({ "t\u{1b}[31m": "v\u{7}\u{7f}\u{9b}\u{202e}\u{2066}\u{61c}ä\n" });
    let written = Written::default();
    let mut output = Output::to(written.clone(), 1);
    output.json_for_people(&value);
    output.finish().unwrap();
    let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    assert!(!text.chars().any(|c| c != '\n' && changes_terminal(c)), "{text:?}");
    assert!(text.contains('ä'), "{text}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
}

#[test]
fn one_is_no_plural() {
    let told = [0, 1, 2].map(|count| counted(count, "posting"));
    assert_eq!(told, ["0 postings", "1 posting", "2 postings"]);
}

#[test]
fn a_cell_is_one_line_whatever_is_in_it() {
    let mut listed = table(&["a", "b"], &[]);
    listed.add_row(["x\n\u{1b}[31m", "\u{202e}"]);
    assert_eq!(rows(&listed), "a              b\nx⏎\\u{1b}[31m   \\u{202e}");
    assert_eq!(harmless("a\n\u{1b}\u{7f}\r"), "a\n\\u{1b}\\u{7f}\\r");
}

#[test]
fn what_is_shown_is_one_line_that_cannot_change_the_terminal() {
    assert_eq!(shown("a\nb\u{1b}[31mc", 80), "a⏎b\\u{1b}[31mc");
    assert_eq!(shown("a\u{202e}b\u{2066}\u{9b}", 80), "a\\u{202e}b\\u{2066}\\u{9b}");
    assert_eq!(shown("grüße", 3), "grü…");
    assert_eq!(shown("grü", 3), "grü");
}
