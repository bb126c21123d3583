//! The commands that are proposed, each in a form that can be pasted into a shell.

use std::fmt::Display;
use std::sync::OnceLock;

use crate::store::StoreUrl;

/// The store that was named on the command line, as a word of the shell.
static NAMED: OnceLock<String> = OnceLock::new();

/// From now on what is proposed names this store, as the command line did. A store that the
/// environment names, or nobody, is also that of what is proposed.
pub(crate) fn name_store(url: &StoreUrl) {
    // named once, when the command line is read
    let _ = NAMED.set(url.in_shell());
}

/// Whether the store that was named ends with the process.
pub(crate) fn is_in_memory() -> bool {
    NAMED.get().is_some_and(|store| *store == StoreUrl::Memory.in_shell())
}

/// A command of this program.
pub(crate) fn command(words: impl Display) -> String {
    on_store(words, NAMED.get().map(String::as_str))
}

/// A command for this store, whoever named it.
pub(crate) fn command_on(url: &StoreUrl, words: impl Display) -> String {
    on_store(words, Some(&url.in_shell()))
}

fn on_store(words: impl Display, store: Option<&str>) -> String {
    let store = store.map_or_else(String::new, |store| format!(" --store {store}"));
    format!("turing {words}{store}")
}

/// A text, such as a path, as a word of the shell.
pub(crate) fn quoted(text: impl Display) -> String {
    let text = text.to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_names_its_store_and_no_password() {
        let table = [
            ("sqlite:turing.db", "sqlite:turing.db"),
            ("sqlite:///srv/my jobs/t.db", "'sqlite:/srv/my jobs/t.db'"),
            ("sqlite:it's.db", r"'sqlite:it'\''s.db'"),
            ("sqlite:////srv/t.db", "sqlite:////srv/t.db"),
            ("memory:", "memory:"),
            ("postgres://u@h:5433/d", "postgres://u@h:5433/d"),
            ("postgres://u:canary@h:5433/d", "postgres://u:PASSWORD@h:5433/d"),
            (
                "postgresql://h/d?user=u&password=canary&pooled=true",
                "'postgresql://h/d?user=u&password=PASSWORD&pooled=true'",
            ),
        ];
        for (given, named) in table {
            let url: StoreUrl = given.parse().unwrap();
            let again = url.to_string().parse();
            assert!(!given.starts_with("sqlite") || again.as_ref() == Ok(&url), "{again:?}");
            let proposed = command_on(&url, format_args!("run show {}", 7));
            assert_eq!(proposed, format!("turing run show 7 --store {named}"));
        }
        assert_eq!(on_store("runs", None), "turing runs");
    }

    #[test]
    fn what_a_shell_takes_apart_is_quoted() {
        for (text, word) in [
            ("adverts/flow-1.toml", "adverts/flow-1.toml"),
            ("my flow.toml", "'my flow.toml'"),
            ("$(reboot).toml", "'$(reboot).toml'"),
            ("it's.toml", r"'it'\''s.toml'"),
            ("~/flow.toml", "'~/flow.toml'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(text), word);
        }
    }
}
