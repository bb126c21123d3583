//! How answers are printed.

use std::error::Error;
use std::io::{self, Write};

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

/// Where answers go.
pub(super) struct Output {
    writer: Box<dyn Write + Send>,
}

impl Output {
    pub(super) fn stdout() -> Self {
        Self { writer: Box::new(io::stdout()) }
    }

    /// Prints a line, or several; what is in them cannot change the terminal.
    pub(super) fn line(&mut self, text: impl std::fmt::Display) -> io::Result<()> {
        writeln!(self.writer, "{}", harmless(&text.to_string()))
    }

    /// Prints a text for other programs, as it is.
    pub(super) fn text(&mut self, text: impl std::fmt::Display) -> io::Result<()> {
        writeln!(self.writer, "{text}")
    }

    /// Prints a value as indented JSON.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<(), super::Failure> {
        let text = serde_json::to_string_pretty(value)?;
        Ok(self.text(text)?)
    }

    /// Prints a value as JSON on one line.
    pub(super) fn json_line(&mut self, value: &impl Serialize) -> Result<(), super::Failure> {
        let text = serde_json::to_string(value)?;
        Ok(self.text(text)?)
    }
}

/// A table whose cells are one line each, whatever is in them.
pub(super) struct Listed(Table);

impl Listed {
    pub(super) fn add_row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.0.add_row(cells.into_iter().map(|cell| shown(cell.as_ref(), usize::MAX)));
    }
}

/// A table without borders; the columns named in `right` hold numbers.
pub(super) fn table(header: &[&str], right: &[usize]) -> Listed {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().copied());
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 3));
        if right.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    Listed(table)
}

/// The table as text, without blanks at the ends of lines.
pub(super) fn rows(table: &Listed) -> String {
    let lines: Vec<_> = table.0.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// Text that cannot change the terminal: control characters are escaped, and a long text is cut.
pub(super) fn shown(text: &str, longest: usize) -> String {
    let mut shown = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == longest {
            shown.push('…');
            break;
        }
        match c {
            '\n' => shown.push('⏎'),
            c if changes_terminal(c) => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}

/// Control characters, and those that break lines or change the direction of the text around them.
fn changes_terminal(c: char) -> bool {
    let is_format = matches!(
        c,
        '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    );
    c.is_control() || is_format
}

/// The text with its lines, and nothing else that changes the terminal.
fn harmless(text: &str) -> String {
    let mut harmless = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c != '\n' && changes_terminal(c) => harmless.extend(c.escape_default()),
            c => harmless.push(c),
        }
    }
    harmless
}

/// Prints an error with its causes to standard error.
pub(super) fn tell_error(error: &dyn Error) {
    let mut told = format!("error: {error}");
    tell(&told);
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // some errors say what their cause says, where it would be lost otherwise
        if !told.contains(text.trim_end()) {
            tell(format_args!("  caused by: {text}"));
        }
        told = text;
        cause = error.source();
    }
}

/// Prints a line to standard error. Nobody may be listening there, which is no reason to stop.
pub(super) fn tell(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{}", harmless(&text.to_string()));
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
