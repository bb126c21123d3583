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

    /// Prints a line.
    pub(super) fn line(&mut self, text: impl std::fmt::Display) -> io::Result<()> {
        writeln!(self.writer, "{text}")
    }

    /// Prints a value as indented JSON.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<(), super::Failure> {
        let text = serde_json::to_string_pretty(value)?;
        Ok(self.line(text)?)
    }

    /// Prints a value as JSON on one line.
    pub(super) fn json_line(&mut self, value: &impl Serialize) -> Result<(), super::Failure> {
        let text = serde_json::to_string(value)?;
        Ok(self.line(text)?)
    }
}

/// A table without borders; the columns named in `right` hold numbers.
pub(super) fn table(header: &[&str], right: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().copied());
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 3));
        if right.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// The table as text, without blanks at the ends of lines.
pub(super) fn rows(table: &Table) -> String {
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
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
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
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
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_one_line_that_cannot_change_the_terminal() {
        assert_eq!(shown("a\nb\u{1b}[31mc", 80), "a⏎b\\u{1b}[31mc");
        assert_eq!(shown("grüße", 3), "grü…");
        assert_eq!(shown("grü", 3), "grü");
    }
}
