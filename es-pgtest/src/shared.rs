//! How the processes of a test run find and share one server.
//!
//! The fast way takes no lock: read which folder is current, become a user of it, look that it
//! still takes users. Whoever finds no server that answers locks the base, looks again, and
//! makes one.

use crate::{
    account::Account,
    binaries::Binaries,
    cluster::{Cluster, USER},
    error::Error,
    folder::{Base, Folder},
    guardian::{self, Hold},
    wanted::Wanted,
    wire,
};

/// How long the server stays without users: longer than the pauses within a test run.
const GRACE_SECONDS: u32 = 10;

/// Joins the shared server, or starts it.
pub(crate) fn join() -> Result<(Folder, Hold), Error> {
    let binaries = Binaries::find()?;
    let account = Account::find()?;
    let base = Base::make(&binaries, account)?;
    if let Some(joined) = join_current(&base) {
        return Ok(joined);
    }
    let _lock = base.lock()?;
    match join_current(&base) {
        Some(joined) => Ok(joined),
        None => start(&base, binaries, account),
    }
}

fn join_current(base: &Base) -> Option<(Folder, Hold)> {
    let folder = base.current()?;
    let hold = guardian::hold(&folder).ok()?;
    // the guardian removes the file, and then waits for those who were faster
    let usable = folder.open().exists() && wire::answers(&folder.socket(), USER);
    usable.then_some((folder, hold))
}

fn start(base: &Base, binaries: Binaries, account: Account) -> Result<(Folder, Hold), Error> {
    base.sweep();
    let folder = base.folder(account)?;
    // before the cluster: whatever happens from here on, the folder is removed
    let (hold, _guardian) = guardian::guard(&folder, GRACE_SECONDS)?;
    let cluster = Cluster::make(binaries, account, folder.clone(), &[])?;
    let has_standby = Wanted::from_environment().standby;
    if has_standby {
        cluster.make_standby()?;
    }
    let _server = cluster.start()?;
    if has_standby {
        let _standby = cluster.start_standby()?;
    }
    let open = folder.open();
    std::fs::write(&open, "").map_err(Error::file("write", &open))?;
    base.set_current(&folder)?;
    Ok((folder, hold))
}
