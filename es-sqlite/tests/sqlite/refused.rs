//! What is refused at opening is left as it was: the file, its log, and whatever else is beside it.

use std::fs;
use std::ops::ControlFlow;

use es_core::backend::{StoreError, StoreErrorKind};
use es_sqlite::rusqlite::config::DbConfig;
use es_sqlite::{BackupError, SqliteStore};

use crate::support::{Folder, append_one, block_on, event};

const LOG: &str = "store.db-wal";

#[derive(Debug, Clone, Copy)]
enum Mode {
    Write,
    Existing,
    Read,
    Copy,
}

const MODES: [Mode; 4] = [Mode::Write, Mode::Existing, Mode::Read, Mode::Copy];

impl Mode {
    fn open(self, folder: &Folder) -> Result<(), StoreError> {
        let config = match self {
            Self::Write => folder.config(),
            Self::Existing => folder.config().create(false),
            Self::Read => folder.config().read_only(true),
            Self::Copy => {
                let to = folder.path().with_file_name("copy.db");
                let go_on = |_| ControlFlow::Continue(());
                return match block_on(es_sqlite::backup(folder.path(), to, go_on)) {
                    Ok(_) => Ok(()),
                    Err(BackupError::Store(error)) => Err(error),
                    Err(error) => panic!("{error:?}"),
                };
            }
        };
        block_on(async { SqliteStore::open(config).await.map(drop) })
    }
}

/// Something that makes a store one that is refused, and by whom it is.
struct Kind {
    name: &'static str,
    spoil: fn(&Folder),
    modes: &'static [Mode],
    /// Whether it takes a log.
    needs_log: bool,
}

/// Another program's statements; a log stays one, and an empty one stays empty.
fn run(folder: &Folder, statements: &str) {
    let has_log = folder.files().contains(&LOG.to_owned());
    let is_empty = folder.write_ahead_log_length() == 0;
    let connection = folder.connection();
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, has_log).unwrap();
    connection.execute_batch(statements).unwrap();
    if has_log && is_empty {
        connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    }
}

fn cut(folder: &Folder) {
    fs::File::options().write(true).open(folder.path()).unwrap().set_len(4096).unwrap();
}

fn kind(name: &'static str, spoil: fn(&Folder)) -> Kind {
    Kind { name, spoil, modes: &MODES, needs_log: false }
}

fn kinds() -> Vec<Kind> {
    vec![
        kind("newer", |folder| run(folder, "PRAGMA user_version = 99")),
        kind("another program's", |folder| run(folder, "PRAGMA application_id = 7")),
        kind("without its marks", |folder| {
            run(folder, "PRAGMA application_id = 0; PRAGMA user_version = 0");
        }),
        Kind {
            modes: &[Mode::Read],
            ..kind("older", |folder| run(folder, "PRAGMA user_version = 7"))
        },
        Kind {
            modes: &[Mode::Write, Mode::Existing],
            ..kind("without a table", |folder| run(folder, "DROP TABLE idempotency_keys"))
        },
        kind("of two names", |folder| {
            fs::hard_link(folder.path(), folder.path().with_file_name("other.db")).unwrap();
        }),
        kind("cut off", cut),
        Kind {
            needs_log: true,
            ..kind("a backup over it", |folder| {
                fs::copy(folder.path().with_file_name("backup.db"), folder.path()).unwrap();
            })
        },
        Kind { needs_log: true, ..kind("empty", |folder| fs::write(folder.path(), "").unwrap()) },
        Kind { needs_log: true, ..kind("gone", |folder| fs::remove_file(folder.path()).unwrap()) },
    ]
}

fn copy_files(from: &Folder, to: &Folder) {
    for name in from.files() {
        fs::copy(from.path().with_file_name(&name), to.path().with_file_name(&name)).unwrap();
    }
}

/// A store with events in the file and in the log, as a kill leaves it, and a backup from between.
fn killed() -> Folder {
    let (folder, left) = (Folder::new(), Folder::new());
    block_on(async {
        let store = folder.store().await;
        for number in 0..60 {
            append_one(&store, "posting/1", event(&"x".repeat(500))).await;
            if number == 20 {
                store.backup_to(folder.path().with_file_name("backup.db")).await.unwrap();
            }
            if number == 40 {
                folder.run("PRAGMA wal_checkpoint(TRUNCATE)");
            }
        }
        copy_files(&folder, &left);
        store.close().await;
    });
    assert!(left.files().contains(&LOG.to_owned()));
    left
}

/// The same, with all in the file and a log that was emptied.
fn emptied() -> Folder {
    let (folder, left) = (killed(), Folder::new());
    let store = block_on(folder.store());
    folder.run("PRAGMA wal_checkpoint(TRUNCATE)");
    copy_files(&folder, &left);
    block_on(store.close());
    assert_eq!(left.write_ahead_log_length(), 0);
    assert!(left.files().contains(&LOG.to_owned()));
    left
}

/// The same, after it was closed.
fn closed() -> Folder {
    let folder = killed();
    block_on(async { folder.store().await.close().await });
    assert_eq!(folder.files(), ["backup.db", "store.db"]);
    folder
}

/// All files with their bytes. The index of a log holds nothing that lasts, and SQLite makes it anew
/// for whoever reads first: it is only to stay.
fn content(folder: &Folder) -> Vec<(String, Vec<u8>)> {
    let read = |name: String| match name.ends_with("-shm") {
        true => (name, Vec::new()),
        false => {
            let bytes = fs::read(folder.path().with_file_name(&name)).unwrap();
            (name, bytes)
        }
    };
    folder.files().into_iter().map(read).collect()
}

#[test]
fn a_refused_opening_changes_nothing() {
    for (has_log, store) in [(true, killed()), (false, emptied()), (false, closed())] {
        for kind in kinds().into_iter().filter(|kind| has_log || !kind.needs_log) {
            let spoilt = Folder::new();
            copy_files(&store, &spoilt);
            (kind.spoil)(&spoilt);
            let before = content(&spoilt);
            for mode in kind.modes {
                let what = format!("{}, beside {:?}, {mode:?}", kind.name, store.files());
                for _ in 0..2 {
                    assert!(mode.open(&spoilt).is_err(), "{what}");
                    assert!(content(&spoilt) == before, "{what}: {:?}", spoilt.files());
                }
            }
        }
    }
}

/// An index alone is nothing that SQLite keeps.
#[test]
fn a_refused_opening_makes_no_log_beside_an_index_that_was_left_alone() {
    for mode in MODES {
        let folder = closed();
        run(&folder, "PRAGMA user_version = 99");
        fs::write(folder.path().with_file_name("store.db-shm"), "").unwrap();
        assert!(mode.open(&folder).is_err());
        assert!(!folder.files().contains(&LOG.to_owned()), "{mode:?}: {:?}", folder.files());
    }
}

/// As another program leaves a store that keeps no log, as after `VACUUM INTO`, and is killed while it
/// writes to it.
#[test]
fn who_only_looks_at_a_store_that_must_be_rolled_back_is_told_so() {
    let (store, killed) = (closed(), Folder::new());
    let other = store.connection();
    let begun = "PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF;
                 BEGIN; PRAGMA user_version = 99";
    other.execute_batch(begun).unwrap();
    copy_files(&store, &killed);
    drop(other);
    assert_eq!(killed.files(), ["backup.db", "store.db", "store.db-journal"]);
    let before = content(&killed);
    for mode in [Mode::Read, Mode::Copy] {
        let error = mode.open(&killed).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), StoreErrorKind::ReadOnly, "{mode:?}: {text}");
        assert!(text.contains("store.db-journal") && text.contains("for writing"), "{text}");
        assert!(content(&killed) == before, "{mode:?}: {:?}", killed.files());
    }
    for mode in [Mode::Existing, Mode::Read, Mode::Copy] {
        mode.open(&killed).unwrap_or_else(|error| panic!("{mode:?}: {error:?}"));
    }
}

#[test]
fn what_a_kill_leaves_is_opened_by_all() {
    for mode in MODES {
        let folder = killed();
        mode.open(&folder).unwrap_or_else(|error| panic!("{mode:?}: {error:?}"));
    }
}

#[test]
#[cfg(unix)]
fn what_cannot_be_looked_at_is_no_log_that_is_to_be_removed() {
    for is_empty in [false, true] {
        let folder = Folder::new();
        if is_empty {
            fs::write(folder.path(), "").unwrap();
        }
        // it leads to itself
        std::os::unix::fs::symlink(LOG, folder.path().with_file_name(LOG)).unwrap();
        let error = Mode::Write.open(&folder).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), StoreErrorKind::Other, "{text}");
        assert!(text.contains("store.db-wal cannot be looked at"), "{text}");
    }
}

/// Beside each way in which the number of pages is told.
#[test]
fn a_healthy_log_is_not_taken_for_that_of_a_longer_file() {
    // a transaction of a process that was killed before it counted, over whose beginning another one
    // was written
    let left_behind: fn(&Folder) = |folder| {
        let mut log = folder.write_ahead_log();
        let salts = log[16..24].to_vec();
        for bytes in [&7_u32.to_be_bytes()[..], &99_u32.to_be_bytes(), &salts, &[0; 8], &[0; 4096]]
        {
            log.extend_from_slice(bytes);
        }
        fs::write(folder.path().with_file_name(LOG), log).unwrap();
    };
    let nothing: fn(&Folder) = |_| {};
    // as a program makes it that gives files room in chunks
    let room: fn(&Folder) = |folder| {
        let file = fs::File::options().write(true).open(folder.path()).unwrap();
        file.set_len(file.metadata().unwrap().len() + 3 * 4096).unwrap();
    };
    for (before, after) in [(nothing, nothing), (nothing, left_behind), (room, nothing)] {
        for mode in MODES {
            let folder = closed();
            before(&folder);
            let other = folder.connection();
            other.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
            // neither grows the file nor writes its first page
            other.execute_batch("UPDATE sqlite_sequence SET seq = seq + 1").unwrap();
            drop(other);
            assert_eq!(folder.commits(), 1);
            after(&folder);
            mode.open(&folder).unwrap_or_else(|error| panic!("{mode:?}: {error:?}"));
        }
    }
}
