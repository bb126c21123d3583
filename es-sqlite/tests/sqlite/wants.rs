//! What the system does not give who opens a store: open files, threads, rights.

use std::fs;
use std::path::Path;
use std::process::Command;

use es_core::backend::{EventStore, StoreErrorKind};
use es_sqlite::{SqliteConfig, SqliteStore};

use crate::files::refused;
use crate::support::{Folder, append_one, block_on, child, child_path, event, succeeds};

/// The names in the folder of a file.
fn files_beside(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path.parent().unwrap()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Opens the store with ever more of what it says that it wants, until that is enough; answers how much
/// that is.
#[cfg(target_os = "linux")]
async fn enough(
    path: &Path,
    wanted: &str,
    open_with: impl AsyncFn(u64) -> Result<SqliteStore, es_core::backend::StoreError>,
) -> u64 {
    let mut much = 0;
    loop {
        match open_with(much).await {
            Ok(store) => {
                store.close().await;
                return much;
            }
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains(wanted), "{much}: {error}");
                assert_eq!(files_beside(path), ["store.db"], "{much}: {error}");
            }
        }
        much += 1;
    }
}

/// Has it run as a user without rights, if it can choose one.
#[cfg(unix)]
fn as_nobody(mut child: Command) -> Command {
    use std::os::unix::process::CommandExt;
    if rustix::process::geteuid().is_root() {
        child.uid(65534);
    }
    child
}

/// How many threads a user may have is the affair of a process, which is one of its own, and not of root.
#[test]
#[cfg(target_os = "linux")]
fn a_want_of_threads_is_told_and_leaves_no_log() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;

    use rustix::process::{Resource, Rlimit, geteuid, getrlimit, setrlimit};

    /// A user that nobody is.
    const SOMEBODY: u32 = 54_322;

    let name = "wants::a_want_of_threads_is_told_and_leaves_no_log";
    if let Some(path) = child_path() {
        let usual = getrlimit(Resource::Nproc);
        for read_only in [false, true] {
            let config = SqliteConfig::new(&path).read_only(read_only);
            let threads = block_on(enough(&path, "ulimit -u", async |threads| {
                let current = Some(threads);
                setrlimit(Resource::Nproc, Rlimit { current, ..usual }).unwrap();
                SqliteStore::open(config.clone()).await
            }));
            // one that runs the test at least, and five of a store with two readers
            assert!(threads > 5, "{threads}");
        }
        return;
    }
    let folder = Folder::new();
    block_on(async { folder.store().await.close().await });
    let open_to_all = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    open_to_all(folder.path().parent().unwrap(), 0o777);
    open_to_all(&folder.path(), 0o666);
    let mut child = child(name, &folder.path());
    if geteuid().is_root() {
        child.uid(SOMEBODY);
    }
    succeeds(child);
}

/// How many files it may have open is the affair of a process, so it is one of its own.
#[test]
#[cfg(target_os = "linux")]
fn a_want_of_files_is_told_from_a_want_of_rights() {
    use std::os::fd::AsRawFd;

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let name = "wants::a_want_of_files_is_told_from_a_want_of_rights";
    let Some(path) = child_path() else {
        let folder = Folder::new();
        block_on(async { folder.store().await.close().await });
        succeeds(child(name, &folder.path()));
        return;
    };
    let usual = getrlimit(Resource::Nofile);
    let allow = |current| setrlimit(Resource::Nofile, Rlimit { current, ..usual }).unwrap();
    block_on(async {
        for read_only in [false, true] {
            let config = SqliteConfig::new(&path).read_only(read_only);
            let spare = enough(&path, "too many files are open", async |spare| {
                let next = fs::File::open("/dev/null").unwrap().as_raw_fd();
                allow(Some(u64::try_from(next).unwrap() + spare));
                let opened = SqliteStore::open(config.clone()).await;
                allow(usual.current);
                opened
            });
            let spare = spare.await;
            // the file, its log and the index of that, and the first two for each reader
            assert!(spare > 3, "{spare}");
        }
    });
}

/// A file that belongs to somebody else: the test runs once more as a user without rights, if it
/// can choose one.
#[test]
#[cfg(unix)]
fn a_file_without_the_right_to_write_is_refused_and_opens_read_only() {
    use std::os::unix::fs::PermissionsExt;
    let name = "wants::a_file_without_the_right_to_write_is_refused_and_opens_read_only";
    if let Some(path) = child_path() {
        block_on(async move {
            let error = refused(&path, SqliteConfig::new(&path)).await;
            assert_eq!(error.kind(), StoreErrorKind::ReadOnly);
            // what it made would be its own, and keep the owner from writing
            assert_eq!(files_beside(&path), ["store.db"]);
            let config = SqliteConfig::new(&path).read_only(true);
            let store = SqliteStore::open(config).await.unwrap();
            assert_eq!(store.end_of_log().await.unwrap().to_sequence(), 1);
        });
        return;
    }
    let folder = Folder::new();
    block_on(async {
        let store = folder.store().await;
        append_one(&store, "posting/1", event("one")).await;
        store.close().await;
    });
    let open_to_all = fs::Permissions::from_mode(0o777);
    fs::set_permissions(folder.path().parent().unwrap(), open_to_all).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o444)).unwrap();
    succeeds(as_nobody(child(name, &folder.path())));
}

/// As above, in a folder in which nothing can be made.
#[test]
#[cfg(unix)]
fn a_store_in_a_folder_without_the_right_to_write_says_what_reading_needs() {
    use std::os::unix::fs::PermissionsExt;
    let name = "wants::a_store_in_a_folder_without_the_right_to_write_says_what_reading_needs";
    if let Some(path) = child_path() {
        block_on(async move {
            let error = refused(&path, SqliteConfig::new(&path).read_only(true)).await;
            println!("\nanswer {:?} {error}", error.kind());
            assert_eq!(error.kind(), StoreErrorKind::ReadOnly);
            assert!(error.to_string().contains("-shm"), "{error}");
            assert!(error.to_string().contains("folder"), "{error}");
        });
        return;
    }
    let folder = Folder::new();
    block_on(async {
        let store = folder.store().await;
        append_one(&store, "posting/1", event("one")).await;
        store.close().await;
    });
    let parent = folder.path().parent().unwrap().to_owned();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(&parent, fs::Permissions::from_mode(0o555)).unwrap();
    let output = as_nobody(child(name, &folder.path())).output().unwrap();
    // or the folder cannot be removed
    fs::set_permissions(&parent, fs::Permissions::from_mode(0o755)).unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
}
