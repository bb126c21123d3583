//! The folders of this checkout's servers.

use std::{
    env,
    fs::{self, DirBuilder, File, Permissions},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use crate::{
    account::Account, binaries::Binaries, cluster::DEFAULTS, error::Error, guardian, wanted::Wanted,
};

/// The port, which only names the socket: every server has a socket folder of its own.
pub(crate) const PORT: u16 = 5432;

/// The port of the standby, in the same folder of sockets.
pub(crate) const STANDBY_PORT: u16 = PORT + 1;

/// A socket's path must be shorter than this; Linux and the BSDs differ.
const SOCKET_LIMIT: usize = 100;

/// The folder below which all servers of this checkout, user and server version live.
///
/// `start.lock` is locked by whoever makes or sweeps folders in it, and `current` names the
/// folder of the shared server.
#[derive(Clone, Debug)]
pub(crate) struct Base(PathBuf);

impl Base {
    /// Finds a place for it and makes it.
    pub(crate) fn make(binaries: &Binaries, account: Account) -> Result<Self, Error> {
        let uid = rustix::process::geteuid().as_raw();
        let name = format!("es-pgtest-{uid}-{:016x}", digest(binaries));
        let path = [env::temp_dir(), PathBuf::from("/tmp")]
            .into_iter()
            .filter_map(|folder| folder.canonicalize().ok())
            .filter(|folder| matches!(account, Account::Own) || everybody_enters(folder))
            .map(|folder| folder.join(&name))
            .find(|path| Folder(path.join("s-00000000")).socket().as_os_str().len() < SOCKET_LIMIT)
            .ok_or(Error::NoPlace)?;
        // the server's user passes through; without another user nobody else does
        let mode = if matches!(account, Account::Own) { 0o700 } else { 0o711 };
        let made = DirBuilder::new().mode(mode).create(&path);
        let is = fs::symlink_metadata(&path)
            .map_err(|_| made.err())
            .map_err(|error| error.unwrap_or_else(|| std::io::ErrorKind::NotFound.into()))
            .map_err(Error::file("make", &path))?;
        if !is.is_dir() || is.uid() != uid {
            return Err(Error::Foreign(path));
        }
        fs::set_permissions(&path, Permissions::from_mode(mode))
            .map_err(Error::file("set the mode of", &path))?;
        Ok(Self(path))
    }

    /// Locks it until the file is dropped.
    pub(crate) fn lock(&self) -> Result<File, Error> {
        let path = self.0.join("start.lock");
        let file = File::create(&path).map_err(Error::file("make", &path))?;
        file.lock().map_err(Error::file("lock", &path))?;
        Ok(file)
    }

    /// The folder of the shared server, which may be gone.
    pub(crate) fn current(&self) -> Option<Folder> {
        let name = fs::read_to_string(self.0.join("current")).ok()?;
        Some(Folder(self.0.join(name)))
    }

    /// Says which folder is the shared server's.
    pub(crate) fn set_current(&self, folder: &Folder) -> Result<(), Error> {
        let (new, path) = (self.0.join("current.new"), self.0.join("current"));
        let name = folder.0.file_name().unwrap_or_default().as_encoded_bytes();
        fs::write(&new, name).map_err(Error::file("write", &new))?;
        fs::rename(&new, &path).map_err(Error::file("write", &path))
    }

    /// Makes a folder for a server. The base must be locked.
    pub(crate) fn folder(&self, account: Account) -> Result<Folder, Error> {
        let folder = loop {
            let path = self.0.join(format!("s-{:08x}", fastrand::u32(..)));
            match DirBuilder::new().mode(0o710).create(&path) {
                Ok(()) => break Folder(path),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::file("make", path)(error)),
            }
        };
        account.share(&folder.0)?;
        for path in [folder.data(), folder.standby(), folder.sockets()] {
            DirBuilder::new().mode(0o700).create(&path).map_err(Error::file("make", &path))?;
            account.own(&path)?;
        }
        Ok(folder)
    }

    /// Finds every folder that has lost its guardian, after a reboot for instance, and has a new
    /// guardian remove it. The base must be locked.
    pub(crate) fn sweep(&self) {
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(b"s-") {
                guardian::sweep(&Folder(entry.path()));
            }
        }
    }
}

/// The folder of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The cluster.
    pub(crate) fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// The folder of the socket.
    pub(crate) fn sockets(&self) -> PathBuf {
        self.0.join("sockets")
    }

    /// The socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.sockets().join(format!(".s.PGSQL.{PORT}"))
    }

    /// The cluster of the standby.
    pub(crate) fn standby(&self) -> PathBuf {
        self.0.join("standby")
    }

    /// The socket of the standby.
    pub(crate) fn standby_socket(&self) -> PathBuf {
        self.sockets().join(format!(".s.PGSQL.{STANDBY_PORT}"))
    }

    /// What the server says.
    pub(crate) fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    /// The pipe whose writers are the users of the server.
    pub(crate) fn users(&self) -> PathBuf {
        self.0.join("users")
    }

    /// The file that is there as long as the server takes new users.
    pub(crate) fn open(&self) -> PathBuf {
        self.0.join("open")
    }
}

/// Whether every user may pass through a folder and those above it.
fn everybody_enters(folder: &Path) -> bool {
    folder.ancestors().all(|path| fs::metadata(path).is_ok_and(|is| is.mode() & 0o001 != 0))
}

/// A digest (FNV-1a) of what two processes must agree on to share a server: the checkout, the
/// server's program, its settings, its locale and standby, the way its guardian works.
fn digest(binaries: &Binaries) -> u64 {
    let program = binaries.program("postgres");
    let changed = fs::metadata(&program).map_or(0, |is| is.mtime());
    format!(
        "{}\n{program:?}\n{changed}\n{DEFAULTS:?}\n{:?}\n{}",
        env!("CARGO_MANIFEST_DIR"),
        Wanted::from_environment(),
        guardian::SCRIPT
    )
    .bytes()
    .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
