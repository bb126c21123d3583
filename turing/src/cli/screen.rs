//! Standard error as lines, and on a terminal a bar below them.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};

use indicatif::{ProgressBar, ProgressStyle};
use rustix::termios::tcgetwinsize;

use super::telling::{Below, Screen};

/// Standard error itself.
#[derive(Debug, Default)]
pub(super) struct Terminal {
    /// With the width that it was made for.
    bar: Option<(ProgressBar, u16)>,
}

impl Screen for Terminal {
    fn line(&mut self, text: &str) {
        match &self.bar {
            Some((bar, _)) => bar.println(text),
            None => {
                // in one piece, so that it stays one between what others write there
                let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
            }
        }
    }

    fn below(&mut self, below: &Below) {
        match below {
            Below::Bar { done, of, how, text } => {
                let columns = tcgetwinsize(io::stderr()).map_or(0, |size| size.ws_col);
                let new = || (ProgressBar::no_length().with_style(style(columns)), columns);
                let (bar, known) = self.bar.get_or_insert_with(new);
                if *known != columns {
                    bar.set_style(style(columns));
                    *known = columns;
                }
                if bar.prefix() != *how {
                    bar.set_prefix(*how);
                }
                bar.set_length(*of as u64);
                bar.set_position(*done as u64);
                // last, because it always draws, and with it the time
                bar.set_message(text.clone());
            }
            Below::Nothing => {
                if let Some((bar, _)) = self.bar.take() {
                    bar.finish_and_clear();
                }
            }
        }
    }
}

/// What fits into one line of so many columns.
fn template(columns: u16) -> &'static str {
    match columns {
        // 0 if nobody knows how many there are
        0 | 72.. => "{bar:10} {pos}/{len} {prefix}  {elapsed_precise}  {wide_msg}",
        32..72 => "{pos}/{len} {prefix}  {elapsed_precise}  {wide_msg}",
        _ => "{wide_msg}",
    }
}

fn style(columns: u16) -> ProgressStyle {
    let style = ProgressStyle::with_template(template(columns));
    let style = style.expect("the templates are well-formed");
    match is_utf8(|name| env::var_os(name)) {
        true => style,
        false => style.progress_chars("#>-"),
    }
}

/// Whether the locale that these variables name has more than plain characters.
fn is_utf8(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let mut named = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(variable);
    let locale = named.find(|locale| !locale.is_empty()).unwrap_or_default();
    let locale = locale.to_string_lossy().to_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_well_formed() {
        for columns in [0, 1, 31, 32, 71, 72, u16::MAX] {
            style(columns);
        }
    }

    #[test]
    fn the_first_variable_that_is_set_names_the_locale() {
        let is_utf8 = |set: &[(&str, &str)]| {
            let value = |name: &str| set.iter().find(|(set, _)| *set == name);
            is_utf8(|name| value(name).map(|(_, value)| OsString::from(value)))
        };
        assert!(is_utf8(&[("LANG", "de_DE.UTF-8")]));
        assert!(is_utf8(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8"), ("LANG", "C")]));
        assert!(!is_utf8(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]));
        assert!(!is_utf8(&[("LANG", "de_DE.ISO-8859-1")]));
        assert!(!is_utf8(&[]));
    }
}
