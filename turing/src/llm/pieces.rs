//! The pieces of a response that comes bit by bit: events sent by a server, or lines of JSON.

use std::collections::VecDeque;
use std::mem;

use hyper::HeaderMap;
use hyper::header::CONTENT_TYPE;

use super::failure::CallError;

/// How the pieces of a body are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Server-sent events.
    Events,
    /// A JSON document on each line.
    Lines,
}

impl Form {
    /// The form that a response says it has; `None` for one document, or if it does not say.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "text/event-stream" => Some(Self::Events),
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines" => Some(Self::Lines),
            _ => None,
        }
    }

    fn ends_line(self, byte: u8) -> bool {
        byte == b'\n' || self == Self::Events && byte == b'\r'
    }
}

/// One piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// A JSON document.
    Document(String),
    /// The same, sent as an event of the kind `error`.
    Error(String),
    /// `[DONE]`, the end.
    Done,
}

/// Cuts bytes into pieces.
#[derive(Debug)]
pub(super) struct Pieces {
    form: Form,
    /// The most that one piece may have.
    limit: usize,
    /// What has come of the present line, and where in the stream it began.
    line: Vec<u8>,
    began: usize,
    /// How many bytes have come.
    come: usize,
    /// Whether the last line ended with a carriage return, which a line feed may belong to.
    after_return: bool,
    /// What has come of the present event.
    data: Option<String>,
    is_error: bool,
    found: VecDeque<Piece>,
}

impl Pieces {
    pub(super) fn new(form: Form, limit: usize) -> Self {
        Self {
            form,
            limit,
            line: Vec::new(),
            began: 0,
            come: 0,
            after_return: false,
            data: None,
            is_error: false,
            found: VecDeque::new(),
        }
    }

    /// The next piece that is whole.
    pub(super) fn pop(&mut self) -> Option<Piece> {
        self.found.pop_front()
    }

    /// How many bytes have come.
    pub(super) fn come(&self) -> usize {
        self.come
    }

    /// Takes what has come.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<(), CallError> {
        while let Some(first) = bytes.first() {
            if mem::take(&mut self.after_return) && *first == b'\n' {
                self.come += 1;
                self.began = self.come;
                bytes = &bytes[1..];
                continue;
            }
            let end = bytes.iter().position(|byte| self.form.ends_line(*byte));
            let length = end.unwrap_or(bytes.len());
            self.line.extend_from_slice(&bytes[..length]);
            if self.line.len() + self.data.as_ref().map_or(0, String::len) > self.limit {
                return Err(CallError::BodyLimit(self.limit));
            }
            self.come += length;
            bytes = &bytes[length..];
            if let [end, rest @ ..] = bytes {
                self.after_return = *end == b'\r';
                self.come += 1;
                self.end_line()?;
                self.began = self.come;
                bytes = rest;
            }
        }
        Ok(())
    }

    /// What is left when nothing more comes: servers forget the end of the last line. What is cut off
    /// within is no JSON, and nobody will take it for some.
    pub(super) fn end(&mut self) -> Result<Option<Piece>, CallError> {
        let is_cut =
            std::str::from_utf8(&self.line).is_err_and(|error| error.error_len().is_none());
        match is_cut {
            true => self.line.clear(),
            false => self.end_line()?,
        }
        self.end_event();
        Ok(self.pop())
    }

    fn end_line(&mut self) -> Result<(), CallError> {
        let line = mem::take(&mut self.line);
        let line = String::from_utf8(line)
            .map_err(|error| CallError::Encoding(self.began + error.utf8_error().valid_up_to()))?;
        // a mark of the byte order may stand before everything
        let text = match self.began {
            0 => line.strip_prefix('\u{feff}').unwrap_or(&line),
            _ => &line,
        };
        match self.form {
            Form::Lines if text.trim().is_empty() => {}
            Form::Lines => self.found.push_back(Piece::Document(text.to_owned())),
            Form::Events if text.is_empty() => self.end_event(),
            Form::Events => self.field(text),
        }
        Ok(())
    }

    /// A field of an event. One without a name is a comment.
    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "data" => self.add(value),
            // some servers write an error into a field of its own
            "error" if value.starts_with('{') => {
                self.is_error = true;
                self.add(value);
            }
            "event" => self.is_error = value == "error",
            // a document that nobody has put into a field: an error of a proxy, or of who does not stream
            _ if line.starts_with('{') && line.trim_end().ends_with('}') => self.add(line),
            _ => {}
        }
    }

    /// Adds a line to the data of the present event.
    fn add(&mut self, line: &str) {
        match &mut self.data {
            Some(data) => {
                data.push('\n');
                data.push_str(line);
            }
            None => self.data = Some(line.to_owned()),
        }
    }

    fn end_event(&mut self) {
        let is_error = mem::take(&mut self.is_error);
        let Some(data) = self.data.take() else { return };
        self.found.push_back(match data.trim() {
            "" => return,
            "[DONE]" => Piece::Done,
            _ if is_error => Piece::Error(data),
            _ => Piece::Document(data),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pieces of a text that comes in parts of so many bytes.
    fn cut(form: Form, bytes: &[u8], size: usize) -> Result<Vec<Piece>, CallError> {
        let mut pieces = Pieces::new(form, 100);
        let mut found = Vec::new();
        for part in bytes.chunks(size) {
            pieces.push(part)?;
            found.extend(std::iter::from_fn(|| pieces.pop()));
        }
        assert_eq!(pieces.come(), bytes.len());
        found.extend(pieces.end()?);
        Ok(found)
    }

    fn document(text: &str) -> Piece {
        Piece::Document(text.to_owned())
    }

    #[test]
    fn events_are_the_same_however_their_bytes_come() {
        let text = "\u{feff}: hello\n\ndata: {\"a\": \"gr\u{fc}\u{df}e\"}\n\nevent: ping\ndata:\n\n\
                    id: 7\nretry: 5\ndata:{\"b\":\ndata: 1}\nnothing\n\n\n\
                    event: error\ndata: {\"c\": 2}\n\nerror: {\"d\": 3}\n\nerror: 4\n\n\
                    data: [DONE]\n\n";
        let expected = [
            document("{\"a\": \"gr\u{fc}\u{df}e\"}"),
            document("{\"b\":\n1}"),
            Piece::Error("{\"c\": 2}".to_owned()),
            Piece::Error("{\"d\": 3}".to_owned()),
            Piece::Done,
        ];
        for ends in ["\n", "\r\n", "\r"] {
            let text = text.replace('\n', ends);
            for size in [1, 2, 3, 7, 1000] {
                let found = cut(Form::Events, text.as_bytes(), size).unwrap();
                assert_eq!(found, expected, "{ends:?} in parts of {size}");
            }
        }
    }

    #[test]
    fn lines_are_the_same_however_their_bytes_come() {
        let text = "{\"a\": \"\u{fc}\"}\n\n{\"b\": 1}\r\n \n{\"c\": 2}";
        let expected =
            [document("{\"a\": \"\u{fc}\"}"), document("{\"b\": 1}\r"), document("{\"c\": 2}")];
        for size in [1, 2, 3, 1000] {
            assert_eq!(cut(Form::Lines, text.as_bytes(), size).unwrap(), expected, "{size}");
        }
    }

    #[test]
    fn what_is_cut_within_a_letter_is_left_out_and_what_is_no_text_is_told() {
        let cut_off = "data: {\"a\": \"\u{fc}".as_bytes();
        assert_eq!(cut(Form::Events, &cut_off[..cut_off.len() - 1], 5).unwrap(), []);
        for form in [Form::Events, Form::Lines] {
            let error = cut(form, b"data\n\n\xff\xfe", 3).unwrap_err();
            assert!(matches!(error, CallError::Encoding(6)), "{error:?}");
        }
    }

    #[test]
    fn a_piece_has_a_limit() {
        let lines = format!("data: {}\n", "x".repeat(60)).repeat(2);
        for text in ["x".repeat(101), lines] {
            let error = cut(Form::Events, text.as_bytes(), 10).unwrap_err();
            assert!(matches!(error, CallError::BodyLimit(100)), "{error:?}");
        }
    }
}
