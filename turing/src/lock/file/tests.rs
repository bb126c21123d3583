//! The lock beside a store: who has it, and what becomes of it when its file changes.

use super::*;

/// A folder that is gone with the test, a store in it, and the file of a run's lock.
fn scene() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("turing.db");
    let path = folder.path().join("turing.db-run-1.lock");
    (folder, store, path)
}

#[test]
fn a_second_holder_is_told_who_the_first_is() {
    let (folder, store, _) = scene();
    let lock = |id| FileLock::beside(&store, WorkflowId(id));
    let first = lock(1).unwrap();
    let error = lock(1).unwrap_err().to_string();
    assert!(error.contains(&format!("by process {};", std::process::id())), "{error}");
    lock(2).unwrap();
    fs::write(&store, "").unwrap();
    drop(first);
    let first = lock(1).unwrap();
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&store, &link).unwrap();
    FileLock::beside(&link, WorkflowId(1)).unwrap_err();
    drop(first);
    lock(1).unwrap();
}

#[test]
fn who_looks_is_told_the_holder_and_keeps_nobody_from_the_lock() {
    let (_folder, store, _) = scene();
    let look = || holder(&store, WorkflowId(1));
    assert_eq!(look(), Holder::Nobody);
    let held = FileLock::beside(&store, WorkflowId(1)).unwrap();
    assert_eq!(look(), Holder::Process(std::process::id().to_string()));
    drop(held);
    assert_eq!(look(), Holder::Nobody);

    let path = path_beside(&store, WorkflowId(1));
    let looking = File::open(&path).unwrap();
    flock(&looking, FlockOperation::NonBlockingLockShared).unwrap();
    std::thread::scope(|scope| {
        let taking = scope.spawn(|| FileLock::of(store.clone(), WorkflowId(1)));
        drop(looking);
        taking.join().unwrap().unwrap();
    });
    std::thread::scope(|scope| {
        let looks = scope.spawn(|| (0..2_000).for_each(|_| drop(look())));
        while !looks.is_finished() {
            drop(FileLock::of(store.clone(), WorkflowId(1)).unwrap());
        }
    });
}

#[test]
fn a_file_says_what_it_is_and_one_of_before_is_read() {
    let (_folder, store, path) = scene();
    for before in ["", "4711\n", "4711\nnotice\nmore\n"] {
        fs::write(&path, before).unwrap();
        let first = before.lines().next().unwrap_or("?");
        assert_eq!(process_in(&path), first);
        drop(FileLock::of(store.clone(), WorkflowId(1)).unwrap());
        let text = fs::read_to_string(&path).unwrap();
        let before = format!("{}\n{NOTICE}\n", std::process::id());
        let place = text.strip_prefix(&before).unwrap();
        assert_eq!(Place::in_line(place.trim_end()), Place::here());
    }
}

#[test]
fn a_process_of_another_namespace_or_host_is_told_as_such() {
    let (_folder, _, path) = scene();
    let here = Place::here().unwrap();
    let other = || "other".to_owned();
    for (place, told) in [
        (here.clone(), "2"),
        (Place { namespace: other(), ..here.clone() }, "2 of another PID namespace, such as a"),
        (Place { host: other(), ..here.clone() }, "2 on host other"),
        (Place { namespace: other(), host: other() }, "2 of another PID namespace, on host other"),
    ] {
        fs::write(&path, format!("2\n{NOTICE}\n{}\n", place.line())).unwrap();
        let process = process_in(&path);
        assert!(process.starts_with(told), "{process}");
        assert_eq!(process == "2", place == here, "{process}");
    }
}

#[test]
fn a_file_that_is_deleted_or_replaced_is_locked_again() {
    let (folder, store, path) = scene();
    let mut lock = FileLock::of(store.clone(), WorkflowId(1)).unwrap();
    assert_eq!(lock.keep().unwrap(), None);

    fs::remove_file(&path).unwrap();
    let loss = lock.keep().unwrap().unwrap();
    assert!(loss.ends_with("was deleted"), "{loss}");
    FileLock::of(store.clone(), WorkflowId(1)).unwrap_err();
    assert_eq!(lock.keep().unwrap(), None);

    let other = folder.path().join("other");
    fs::write(&other, "12\n").unwrap();
    fs::rename(&other, &path).unwrap();
    let loss = lock.keep().unwrap().unwrap();
    assert!(loss.ends_with("was replaced"), "{loss}");
    FileLock::of(store.clone(), WorkflowId(1)).unwrap_err();
    assert_eq!(lock.keep().unwrap(), None);
}

#[test]
fn a_file_whose_number_has_changed_stays_locked_by_who_locked_it() {
    let (_folder, store, path) = scene();
    let mut lock = FileLock::of(store.clone(), WorkflowId(1)).unwrap();
    assert_eq!(lock.keep_elsewhere().unwrap(), None);
    FileLock::of(store.clone(), WorkflowId(1)).unwrap_err();
    assert_eq!(lock.keep().unwrap(), None);
    // also on a host whose name was another one
    let place = Place { host: "before".to_owned(), ..Place::here().unwrap() };
    fs::write(&path, format!("{}\n{NOTICE}\n{}\n", std::process::id(), place.line())).unwrap();
    assert_eq!(lock.keep_elsewhere().unwrap(), None);
    let other = Place { namespace: "other".to_owned(), ..place };
    fs::write(&path, format!("{}\n{NOTICE}\n{}\n", std::process::id(), other.line())).unwrap();
    lock.keep_elsewhere().unwrap_err();
    drop(lock);
    FileLock::of(store, WorkflowId(1)).unwrap();
}

type Obstacle = (&'static str, fn(&Path));

/// What keeps a file from being locked again, at each step of it.
const OBSTACLES: [Obstacle; 4] = [
    ("a file that cannot be opened", |path| fs::create_dir(path).unwrap()),
    ("a file that cannot be made", |path| {
        std::os::unix::fs::symlink("nowhere/else", path).unwrap();
    }),
    ("a folder that is no folder", |path| {
        std::os::unix::fs::symlink("turing.db/x", path).unwrap();
    }),
    // it is locked, and then cannot be written
    ("a file that takes no text", |path| std::os::unix::fs::symlink("/dev/full", path).unwrap()),
];

#[test]
fn a_file_that_was_let_go_of_and_cannot_be_locked_again_is_not_held() {
    for (obstacle, stand_in_the_way) in OBSTACLES {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("turing.db");
        fs::write(&store, "").unwrap();
        let path = folder.path().join("turing.db-run-1.lock");
        let aside = folder.path().join("aside");
        let mut lock = FileLock::of(store.clone(), WorkflowId(1)).unwrap();
        fs::rename(&path, &aside).unwrap();
        stand_in_the_way(&path);
        for _ in 0..2 {
            let failed = lock.replace_own().unwrap_err();
            assert!(matches!(failed, LockError::Unusable { .. }), "{obstacle}: {failed}");
        }
        lock.keep().unwrap_err();

        // the path leads to the file of before again
        fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)).unwrap();
        fs::rename(&aside, &path).unwrap();
        assert_eq!(holder(&store, WorkflowId(1)), Holder::Nobody, "{obstacle}");
        let loss = lock.keep().unwrap().unwrap();
        assert!(loss.ends_with("was let go of, to be locked again"), "{obstacle}: {loss}");
        FileLock::of(store.clone(), WorkflowId(1)).unwrap_err();
        assert_eq!(lock.keep().unwrap(), None, "{obstacle}");
        drop(lock);
        FileLock::of(store, WorkflowId(1)).unwrap();
    }
}

#[test]
fn a_file_that_was_let_go_of_and_taken_by_somebody_else_is_theirs() {
    let (_folder, store, path) = scene();
    let mut first = FileLock::of(store.clone(), WorkflowId(1)).unwrap();
    fs::remove_file(&path).unwrap();
    let second = FileLock::of(store, WorkflowId(1)).unwrap();
    // with the number of this process, as one of another container may have it
    for _ in 0..2 {
        let lost = first.keep().unwrap_err();
        assert!(matches!(lost, LockError::Held { .. }), "{lost}");
    }
    assert!(first.file.is_none());
    drop(second);
    assert!(first.keep().unwrap().is_some());
}

#[test]
fn a_file_that_somebody_else_made_and_locked_is_theirs() {
    let (_folder, store, path) = scene();
    let mut first = FileLock::of(store.clone(), WorkflowId(1)).unwrap();
    fs::remove_file(&path).unwrap();
    let mut second = FileLock::of(store.clone(), WorkflowId(1)).unwrap();
    let lost = first.keep().unwrap_err();
    assert!(matches!(lost, LockError::Held { .. }), "{lost}");
    assert_eq!(second.keep().unwrap(), None);
}

#[test]
fn who_may_write_to_the_store_may_lock_it() {
    let (_folder, store, _) = scene();
    fs::write(&store, "").unwrap();
    fs::set_permissions(&store, Permissions::from_mode(0o660)).unwrap();
    // only root can make a store somebody else's
    if geteuid().is_root() {
        std::os::unix::fs::chown(&store, Some(4711), Some(4712)).unwrap();
    }
    let of_store = fs::metadata(&store).unwrap();
    let lock = FileLock::of(store, WorkflowId(1)).unwrap();
    let made = lock.file.unwrap().metadata().unwrap();
    assert_eq!((made.uid(), made.gid()), (of_store.uid(), of_store.gid()));
    assert_eq!(made.mode() & 0o777, 0o660);
}

#[test]
fn a_file_that_cannot_be_used_is_told_with_its_cure() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("turing.db-run-1.lock");
    let told = |kind: ErrorKind| unusable(&path, kind.into()).to_string();
    assert!(told(ErrorKind::PermissionDenied).ends_with("may make no file in its folder"));
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let owner = user(fs::metadata(&path).unwrap().uid());
    let denied = told(ErrorKind::PermissionDenied);
    assert!(denied.contains(&format!("it belongs to {owner}, with the rights 600: once")));
    assert!(told(ErrorKind::StorageFull).contains("no room left, or no inode"));
    assert_eq!(user(0), "root");
    assert_eq!(user(u32::MAX - 7), format!("user {}", u32::MAX - 7));
}
