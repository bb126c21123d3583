//! The files of a folder, and the versions that they leave out.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::str::FromStr;
use std::{fmt, fs, io};

use es_core::event::EventType;

/// What stands in a folder of golden files, in the order of the names.
#[derive(Default)]
pub(super) struct Files {
    pub(super) stored: Vec<FileName>,
    never_stored: Vec<FileName>,
    /// The names of all others.
    pub(super) foreign: Vec<String>,
}

impl Files {
    /// All files of the folder; none if there is no folder.
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        let mut files = Self::default();
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
            entries => entries?,
        };
        for entry in entries {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            match (name.parse(), FileName::never_stored(&name)) {
                (Ok(file), _) => files.stored.push(file),
                (_, Some(file)) => files.never_stored.push(file),
                _ => files.foreign.push(name.into_owned()),
            }
        }
        files.stored.sort();
        files.never_stored.sort();
        files.foreign.sort();
        Ok(files)
    }

    /// The older versions and split names without a file, and the marks that are wrong.
    pub(super) fn gaps(&self, kinds: &[EventType]) -> Vec<String> {
        let mut gaps = Vec::new();
        let split: BTreeSet<_> = kinds.iter().flat_map(|kind| kind.part_of).collect();
        for name in split {
            if !self.stored.iter().any(|file| file.event_type == **name) {
                let event_type = (*name).to_owned();
                let file = FileName { event_type, version: 1, ending: None };
                gaps.push(format!(
                    "`{name}` is split but no golden file shows it; put a stored one at {file}"
                ));
            }
        }
        for kind in kinds {
            for version in 1..kind.schema_version {
                let is_shown = self.stored.iter().any(|file| file.shows(kind, version));
                let is_marked = self.never_stored.iter().any(|file| file.shows(kind, version));
                let file = FileName { version, ..FileName::of(kind, 1) };
                if !is_shown && !is_marked {
                    let mark = file.mark();
                    gaps.push(format!(
                        "`{}` is at version {} but no golden file shows version {version}; put a \
                         stored one at {file}, or an empty file at {mark} if there never was one",
                        kind.name, kind.schema_version
                    ));
                }
            }
        }
        for file in &self.never_stored {
            let mark = file.mark();
            if let Some(stored) = self.stored.iter().find(|other| file.is_version_of(other)) {
                gaps.push(format!("{mark} contradicts {stored}; delete one of them"));
            } else if !kinds.iter().any(|kind| file.is_older_than(kind)) {
                gaps.push(format!("{mark} is about no older version of a known kind; delete it"));
            }
        }
        gaps
    }
}

/// `<event type>.v<version>.json`, or with one more part before `.json`. What no file may be called on
/// every system stands for itself in the event type as `%` and its number, such as `%2F`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileName {
    pub(super) event_type: String,
    pub(super) version: u32,
    ending: Option<String>,
}

impl FileName {
    /// The file of the n-th example of a kind.
    pub(super) fn of(kind: &EventType, number: usize) -> Self {
        Self {
            event_type: kind.name.to_owned(),
            version: kind.schema_version,
            ending: (number > 1).then(|| number.to_string()),
        }
    }

    /// A file of the same kind and version with another ending.
    pub(super) fn ending(&self, ending: &str) -> Self {
        let ending = match &self.ending {
            Some(own) => format!("{own}-{ending}"),
            None => ending.to_owned(),
        };
        Self { ending: Some(ending), ..self.clone() }
    }

    /// The version that a file `<event type>.v<version>.never-stored` is about.
    fn never_stored(name: &str) -> Option<Self> {
        let stem = name.strip_suffix(".never-stored")?;
        let file: Self = format!("{stem}.json").parse().ok()?;
        file.ending.is_none().then_some(file)
    }

    /// The name of the file that marks this version as never stored.
    fn mark(&self) -> String {
        format!("{}.v{}.never-stored", Escaped(&self.event_type), self.version)
    }

    fn shows(&self, kind: &EventType, version: u32) -> bool {
        self.is_of(kind) && self.version == version
    }

    fn is_older_than(&self, kind: &EventType) -> bool {
        self.is_of(kind) && (1..kind.schema_version).contains(&self.version)
    }

    /// True if the versions under this name are the kind's own: those of a split event are not.
    fn is_of(&self, kind: &EventType) -> bool {
        let name = self.event_type.as_str();
        kind.name == name || kind.aliases.contains(&name)
    }

    fn is_version_of(&self, other: &Self) -> bool {
        self.event_type == other.event_type && self.version == other.version
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.v{}", Escaped(&self.event_type), self.version)?;
        if let Some(ending) = &self.ending {
            write!(f, ".{ending}")?;
        }
        f.write_str(".json")
    }
}

impl FromStr for FileName {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        let stem = name.strip_suffix(".json").ok_or(())?;
        // the last, because a name of another store may have a version of its own
        let mut versions = stem.rmatch_indices(".v");
        let file = versions.find_map(|(at, _)| {
            let (event_type, rest) = (&stem[..at], &stem[at + ".v".len()..]);
            let (version, ending) = match rest.split_once('.') {
                Some((version, ending)) => (version, Some(ending.to_owned())),
                None => (rest, None),
            };
            let version = version.parse().ok()?;
            Some(Self { event_type: unescaped(event_type)?, version, ending })
        });
        // `v01` would be a second name of version 1, as `%61` of `a`
        file.filter(|file| file.to_string() == name).ok_or(())
    }
}

/// A stored name within that of a file.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| match char {
            '%' | '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' => {
                write!(f, "%{:02X}", u32::from(char))
            }
            char => f.write_char(char),
        })
    }
}

fn unescaped(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut name = parts.next()?.to_owned();
    for part in parts {
        let (number, rest) = part.split_at_checked(2)?;
        name.push(u8::from_str_radix(number, 16).ok()?.into());
        name.push_str(rest);
    }
    Some(name)
}
