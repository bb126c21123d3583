//! Opening the file: every connection of a store is made here.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use es_core::backend::{StoreError, StoreErrorKind};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::checkpoint::{WAL_BYTES, write_back};
use crate::config::SqliteConfig;
use crate::error::{Doing, is_mounted_read_only, store_error, unseen};
use crate::gate::Gate;
use crate::migrate::{MIGRATIONS, Schema, check_tables, inspect, migrate};
use crate::write_ahead_log::Beside;

/// What each connection keeps of the file in memory, in KiB; negative, as SQLite wants it.
const CACHE_KIB: i64 = -16 * 1024;

/// Statements that a connection keeps prepared: all of the store's, and some of the application's.
const STATEMENTS: usize = 128;

/// The connections that write.
pub(crate) struct WriteConnections {
    /// For appends that were checked already: triggers and CHECK constraints are off. With the
    /// trigger that guards inserts SQLite would keep a journal of each statement, and an append
    /// would take twice as long.
    pub(crate) checked: Connection,
    /// For everything that the application has a hand in.
    pub(crate) application: Connection,
    /// Of the application's connection.
    pub(crate) gate: Arc<Gate>,
}

impl WriteConnections {
    /// Whether closing leaves the log as it is. It is written into the file only when all is known to
    /// be well: the file may be another one, or be refused.
    pub(crate) fn leave_log(&self, is_left: bool) {
        for connection in [&self.checked, &self.application] {
            let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, is_left);
        }
    }
}

/// Makes or opens the file, brings its schema up to date and answers the connections that write, which
/// leave the log when they are closed; `None` if the store is read-only.
///
/// What is refused is left as it is: file, log, and whether there is a log.
pub(crate) fn open_to_write(config: &SqliteConfig) -> Result<Option<WriteConnections>, StoreError> {
    let is_there = check_file(config)?;
    let beside = Beside::of(&config.path)?;
    open_what_is_there(config, is_there, &beside)
        .map_err(|error| beside.refusal(&config.path, error))
}

fn open_what_is_there(
    config: &SqliteConfig,
    is_there: bool,
    beside: &Beside,
) -> Result<Option<WriteConnections>, StoreError> {
    if config.read_only {
        let reader = open_to_read(config)?;
        return match inspect(&reader, &config.path)? {
            Schema::Version(version) if version == MIGRATIONS.len() => {
                beside.check_log(&reader, &config.path)?;
                Ok(None)
            }
            Schema::Version(version) => Err(StoreError::new(
                StoreErrorKind::OlderSchema,
                format!(
                    "the store {} has schema version {version} and must be migrated to {}; \
                     open it for writing once",
                    config.path.display(),
                    MIGRATIONS.len()
                ),
            )),
            Schema::Empty => Err(unused(&config.path)),
        };
    }
    let application = connect(config, is_there)?;
    let schema = inspect(&application, &config.path)?;
    match schema {
        Schema::Empty if !config.create => return Err(unused(&config.path)),
        Schema::Empty => {}
        Schema::Version(version) => {
            beside.check_log(&application, &config.path)?;
            if version == MIGRATIONS.len() {
                check_tables(&application, &config.path)?;
            }
        }
    }
    use_write_ahead_log(&application, config)?;
    if schema != Schema::Version(MIGRATIONS.len()) {
        migrate(&application, &config.path)?;
    }
    let checked = connect(config, true)?;
    checked
        .pragma_update(None, "ignore_check_constraints", true)
        .and_then(|()| checked.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false))
        .doing(&checked, "opening")?;
    check_tables(&checked, &config.path)?;
    // what an application's rows refer to is watched on the connection that it writes on
    application.pragma_update(None, "foreign_keys", true).doing(&application, "opening")?;
    let gate = Gate::on(&application)?;
    Ok(Some(WriteConnections { checked, application, gate }))
}

/// A connection to a store of this program or of an older one, which no handle has open.
pub(crate) fn open_to_copy(config: &SqliteConfig) -> Result<Connection, StoreError> {
    let config = &config.clone().read_only(true);
    check_file(config)?;
    let beside = Beside::of(&config.path)?;
    let opened = || -> Result<Connection, StoreError> {
        let reader = open_to_read(config)?;
        match inspect(&reader, &config.path)? {
            Schema::Empty => return Err(unused(&config.path)),
            Schema::Version(_) => beside.check_log(&reader, &config.path)?,
        }
        Ok(reader)
    };
    opened().map_err(|error| beside.refusal(&config.path, error))
}

/// A connection that cannot write.
pub(crate) fn open_to_read(config: &SqliteConfig) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&config.path, flags)
        .map_err(|error| store_error("opening", &config.path, error))?;
    configure(&connection, config)?;
    connection.pragma_update(None, "query_only", true).doing(&connection, "opening")?;
    Ok(connection)
}

fn connect(config: &SqliteConfig, is_there: bool) -> Result<Connection, StoreError> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, !is_there);
    let connection = Connection::open_with_flags(&config.path, flags)
        .map_err(|error| store_error("opening", &config.path, error))?;
    // before anything is read, which makes a log: of who may not write the file it would stay, and
    // keep the owner from writing
    if connection.is_readonly(rusqlite::MAIN_DB).doing(&connection, "opening")? {
        return Err(StoreError::new(StoreErrorKind::ReadOnly, no_writing(&config.path)));
    }
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        // else a name in double quotes that is misspelt is a text, and is written
        .and_then(|_| connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false))
        .doing(&connection, "opening")?;
    configure(&connection, config)?;
    connection.wal_hook(Some(write_back));
    Ok(connection)
}

fn configure(connection: &Connection, config: &SqliteConfig) -> Result<(), StoreError> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection
        .busy_timeout(config.busy_timeout)
        .and_then(|()| connection.pragma_update(None, "synchronous", config.synchronous.pragma()))
        .and_then(|()| {
            connection.pragma_update(None, "journal_size_limit", WAL_BYTES.cast_signed())
        })
        .and_then(|()| connection.pragma_update(None, "cache_size", CACHE_KIB))
        // else what a statement would undo is written to a temporary file
        .and_then(|()| connection.pragma_update(None, "temp_store", "MEMORY"))
        .doing(connection, "opening")
}

/// Switches the file to write-ahead logging, unless it is so already.
///
/// Two processes that switch at once get `BUSY` without the busy time-out, so it is waited for here.
fn use_write_ahead_log(connection: &Connection, config: &SqliteConfig) -> Result<(), StoreError> {
    const PAUSE: Duration = Duration::from_millis(2);
    let deadline = Instant::now() + config.busy_timeout;
    loop {
        let switched = connection
            .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
        match switched {
            Ok(mode) if mode.eq_ignore_ascii_case("wal") => return Ok(()),
            Ok(mode) => {
                return Err(StoreError::new(
                    StoreErrorKind::Other,
                    format!(
                        "the store {} stays in journal mode {mode}; \
                         its file system does not allow write-ahead logging, use a local one",
                        config.path.display()
                    ),
                ));
            }
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && Instant::now() < deadline =>
            {
                thread::sleep(PAUSE);
            }
            Err(error) => return Err(error).doing(connection, "opening"),
        }
    }
}

/// The least length of a database that has content: its first page.
const HEADER_BYTES: u64 = 512;

/// How many names the file has.
#[cfg(unix)]
fn links(file: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(file)
}

/// Elsewhere it is not told.
#[cfg(not(unix))]
fn links(_: &fs::Metadata) -> u64 {
    1
}

/// Looks at the path before SQLite does, which would make a file or give a vague answer; answers
/// whether a file is there.
///
/// Nothing here may open the file: to close it again would release the locks that this process's
/// other connections hold on it.
fn check_file(config: &SqliteConfig) -> Result<bool, StoreError> {
    let path = &config.path;
    match fs::metadata(path) {
        // SQLite takes what has no room for its header for a file without content
        Ok(found) if found.is_file() && (1..HEADER_BYTES).contains(&found.len()) => {
            Err(not_a_store(path, "it is no SQLite database"))
        }
        Ok(found) if found.is_file() && links(&found) > 1 => {
            let count = links(&found);
            let why = format!(
                "the file has {count} names (hard links), and SQLite keeps a write-ahead log for each, \
                 so that two programs would destroy it; remove the others, or copy the file"
            );
            let text = format!("the store {} cannot be opened: {why}", path.display());
            Err(StoreError::new(StoreErrorKind::Other, text))
        }
        Ok(found) if found.is_file() => Ok(true),
        Ok(found) if found.is_dir() => Err(not_a_store(path, "it is a folder")),
        Ok(_) => Err(not_a_store(path, "it is no regular file")),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let is_there = path.parent().map_or(Ok(true), is_folder);
            let is_there = is_there.map_err(|error| unseen(path, error))?;
            match path.parent().filter(|_| !is_there) {
                Some(folder) => Err(StoreError::new(
                    StoreErrorKind::NotAStore,
                    format!(
                        "no store at {}: there is no folder {}; make it first",
                        path.display(),
                        folder.display()
                    ),
                )),
                None if config.create && !config.read_only => Ok(false),
                None => {
                    // whoever removed it may have left its newest events
                    Beside::of(path)?;
                    Err(StoreError::new(
                        StoreErrorKind::NotAStore,
                        format!("no store at {}: there is no such file", path.display()),
                    ))
                }
            }
        }
        Err(error) => Err(unseen(path, error)),
    }
}

fn is_folder(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        found => Ok(found?.is_dir()),
    }
}

/// Why a store is not opened to be written.
fn no_writing(path: &Path) -> String {
    let why = match is_mounted_read_only(path) {
        true => "because its file system is mounted read-only: mount it for writing",
        false => "as where this user may not write it; change the file's permissions",
    };
    format!(
        "the store {} cannot be opened for writing, {why}, or only read from it",
        path.display()
    )
}

/// The refusal of a file that a program may have begun to make a store of, and that can become one.
fn unused(path: &Path) -> StoreError {
    StoreError::new(
        StoreErrorKind::NotAStore,
        format!(
            "no store at {} yet: the file has nothing in it, as where there was no room to make one; \
             what writes to it makes it one",
            path.display()
        ),
    )
}

fn not_a_store(path: &Path, why: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::NotAStore,
        format!("{} is no event store: {why}; name another file", path.display()),
    )
}
