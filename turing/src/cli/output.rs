//! How answers are printed.

use std::io::{self, Write};

use comfy_table::{CellAlignment, Table, presets};
use rustix::termios::tcgetwinsize;
use serde::Serialize;
use serde_json::json;

/// So much of an answer is gathered before it is written.
const PIECE: usize = 64 * 1024;

/// A text on a terminal stands behind what belongs before it if it has so many columns there.
const ROOM: usize = 40;

/// Otherwise it stands below, so far from the left.
const INDENT: usize = 6;

/// Where answers go.
///
/// Printing never fails: what happened to the answer is told in the end, when the exit code is
/// certain, so that no reader can change it.
pub(super) struct Output {
    writer: Box<dyn Write + Send>,
    /// What is not written yet.
    waiting: String,
    /// How much waits until it is written.
    piece: usize,
    /// The width of the terminal, if there is one.
    columns: Option<usize>,
    failed: Option<Unprinted>,
}

/// Why an answer is not printed, or not all of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unprinted {
    #[error("the answer cannot be printed")]
    Write(#[source] io::Error),
    #[error("the answer cannot be written as JSON")]
    Json(#[source] serde_json::Error),
}

impl Unprinted {
    /// A reader that has gone, such as `head`, wants no more.
    pub(super) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Write(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl Output {
    /// Standard output; a command that does more than look is not held up by its reader while it
    /// goes on.
    pub(super) fn stdout(only_looks: bool) -> Self {
        let columns = tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col));
        let columns = columns.filter(|columns| *columns > 0);
        Self { columns, ..Self::to(io::stdout(), if only_looks { PIECE } else { usize::MAX }) }
    }

    fn to(writer: impl Write + Send + 'static, piece: usize) -> Self {
        let (writer, waiting) = (Box::new(writer), String::new());
        Self { writer, waiting, piece, columns: None, failed: None }
    }

    /// The width of the terminal, if the answer goes to one.
    pub(super) fn columns(&self) -> Option<usize> {
        self.columns
    }

    /// Prints a line, or several; what is in them cannot change the terminal.
    pub(super) fn line(&mut self, text: impl std::fmt::Display) {
        self.text(harmless(&text.to_string()));
    }

    /// Prints a text behind what belongs before it: whole, on one line; on a terminal on as many as
    /// it takes, below one another.
    pub(super) fn hanging(&mut self, before: &str, text: &str) {
        let (before, text) = (shown(before, usize::MAX), shown(text, usize::MAX));
        let Some(columns) = self.columns else {
            return self.text(format!("{before}{text}").trim_end());
        };
        let column = before.chars().count();
        if column + text.chars().count() <= columns {
            return self.text(format!("{before}{text}").trim_end());
        }
        let (first, indent) = match columns.saturating_sub(column) {
            ROOM.. => (before, column),
            _ => (format!("{}\n{:INDENT$}", before.trim_end(), ""), INDENT),
        };
        // where there is no room at all the terminal breaks lines itself
        let width = if columns > 2 * indent { columns - indent } else { usize::MAX };
        let between = format!("\n{:indent$}", "");
        self.text(format!("{first}{}", wrapped(&text, width).join(&between)));
    }

    /// Prints a text to the last byte, and nothing behind it.
    pub(super) fn verbatim(&mut self, text: impl std::fmt::Display) {
        self.piece_of(format_args!("{text}"));
    }

    /// Prints a text for other programs, as it is.
    pub(super) fn text(&mut self, text: impl std::fmt::Display) {
        self.piece_of(format_args!("{text}\n"));
    }

    fn piece_of(&mut self, text: std::fmt::Arguments<'_>) {
        if self.is_over() {
            return;
        }
        // a String takes whatever is written into it
        let _ = std::fmt::Write::write_fmt(&mut self.waiting, text);
        if self.waiting.len() >= self.piece {
            self.write();
        }
    }

    /// Prints a value as indented JSON.
    pub(super) fn json(&mut self, value: &impl Serialize) {
        self.json_text(serde_json::to_string_pretty(value));
    }

    /// Prints a value as JSON on one line.
    pub(super) fn json_line(&mut self, value: &impl Serialize) {
        self.json_text(serde_json::to_string(value));
    }

    /// Prints a value as indented JSON, also for programs; what is in it cannot change the terminal.
    pub(super) fn json_for_people(&mut self, value: &impl Serialize) {
        self.json_text(serde_json::to_string_pretty(value).map(|text| harmless_json(&text)));
    }

    /// Prints why a command failed, as JSON on one line: of some commands other lines stand before.
    pub(super) fn failure(&mut self, error: &str, causes: &[String], exit_code: u8) {
        let value = json!({ "error": error, "causes": causes, "exit_code": exit_code });
        self.json_line(&value);
    }

    fn json_text(&mut self, text: serde_json::Result<String>) {
        match text {
            Ok(text) => self.text(text),
            Err(error) => {
                self.failed.get_or_insert(Unprinted::Json(error));
            }
        }
    }

    /// Writes what there is, for who waits for it while the command goes on.
    pub(super) fn flush(&mut self) {
        if !self.is_over() && !self.waiting.is_empty() {
            self.write();
        }
    }

    /// True if nothing more is printed, whatever comes.
    pub(super) fn is_over(&self) -> bool {
        self.failed.is_some()
    }

    fn write(&mut self) {
        let text = std::mem::take(&mut self.waiting);
        let written = self.writer.write_all(text.as_bytes()).and_then(|()| self.writer.flush());
        if let Err(error) = written {
            self.failed.get_or_insert(Unprinted::Write(error));
        }
    }

    /// Prints what is left.
    ///
    /// # Errors
    ///
    /// Why the answer is not printed, or not all of it. A reader that has gone is no error.
    pub(super) fn finish(mut self) -> Result<(), Unprinted> {
        if !self.waiting.is_empty() {
            self.write();
        }
        match self.failed {
            Some(unprinted) if !unprinted.is_closed_pipe() => Err(unprinted),
            _ => Ok(()),
        }
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

/// So many of something; what it is called takes an `s` if it is not one.
pub(super) fn counted(count: usize, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {what}{s}")
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

/// The text in lines of so many characters at most, broken at blanks where there are some.
fn wrapped(text: &str, width: usize) -> Vec<&str> {
    let (mut lines, mut rest) = (Vec::new(), text);
    while let Some((end, next)) = rest.char_indices().nth(width) {
        let blank = rest[..end].rfind(' ').filter(|at| !rest[..*at].trim().is_empty());
        let at = if next == ' ' { end } else { blank.unwrap_or(end) };
        lines.push(rest[..at].trim_end());
        rest = rest[at..].trim_start();
    }
    lines.push(rest);
    lines
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
pub(super) fn harmless(text: &str) -> String {
    let mut harmless = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c != '\n' && changes_terminal(c) => harmless.extend(c.escape_default()),
            c => harmless.push(c),
        }
    }
    harmless
}

/// The same for JSON, which it stays: only strings have such characters.
fn harmless_json(text: &str) -> String {
    let mut harmless = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c != '\n' && changes_terminal(c) => {
                // all of them have four digits at most
                harmless += &format!("\\u{:04x}", u32::from(c));
            }
            c => harmless.push(c),
        }
    }
    harmless
}

#[cfg(test)]
mod tests;
