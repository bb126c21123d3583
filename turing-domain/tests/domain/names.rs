//! Turing's events are named in the past tense, which its specification demands of every name.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

use std::fs;
use std::path::{Path, PathBuf};

/// Every source file in a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_enum_of_events_sets_the_past_tense_aside() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let mut enums = 0;
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        enums += text.matches("#[derive(Event").count();
        for attribute in text.split("#[event(").skip(1) {
            let attribute = attribute.split(")]").next().unwrap_or_default();
            let sets_aside = attribute.split(|c: char| !c.is_alphanumeric()).any(|w| w == "tense");
            assert!(!sets_aside, "{}: #[event({attribute})]", path.display());
        }
    }
    assert!(enums >= 4, "found only {enums} enums of events");
}
