//! What a store warns of while it is open, such as a long read or a network file system, for people.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::telling::tell;

/// From now on the warnings of stores in files are told on standard error.
pub(super) fn tell_warnings() {
    // somebody who uses this crate may listen already
    let _ = tracing::subscriber::set_global_default(Warnings { tell: |warning| tell(warning) });
}

/// Takes warnings, and nothing else: what goes wrong is told by the command that it concerns.
struct Warnings {
    tell: fn(&str),
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
            && metadata.is_event()
            && metadata.target().starts_with("es_sqlite")
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::WARN)
    }

    fn event(&self, event: &Event<'_>) {
        let mut words = Words::default();
        event.record(&mut words);
        (self.tell)(&format!("warning: {}{}", words.message, words.error));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// What people read of an event; its other fields are for programs.
#[derive(Default)]
struct Words {
    message: String,
    error: String,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "error" => self.error = format!(": {value:?}"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());

    #[test]
    fn the_warnings_of_a_file_are_told_and_nothing_else() {
        let warnings = Warnings { tell: |warning| TOLD.lock().unwrap().push(warning.to_owned()) };
        tracing::subscriber::with_default(warnings, || {
            let error = "no room";
            tracing::warn!(target: "es_sqlite::checkpoint", log = "x-wal", "{} MiB", 80);
            tracing::warn!(target: "es_sqlite::wait", %error, "looking failed");
            tracing::error!(target: "es_sqlite::writer", "told by its command");
            tracing::info!(target: "es_sqlite", "news");
            tracing::warn!(target: "es_core", "of a runner");
            let _span = tracing::warn_span!(target: "es_sqlite", "span").entered();
        });
        assert_eq!(*TOLD.lock().unwrap(), ["warning: 80 MiB", "warning: looking failed: no room"]);
    }
}
