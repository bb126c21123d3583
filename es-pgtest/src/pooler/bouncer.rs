//! A real pgbouncer in transaction mode.

use std::{
    env,
    fmt::Write as _,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::{
    account::Account,
    binaries::Binaries,
    cluster::USER,
    error::Error,
    folder::{Base, Folder, PORT},
    guardian::{self, Hold},
    wire,
};

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A pgbouncer with its default settings, which leave to the next client what the one before did
/// to a session, and without prepared statements. It ends when this is dropped, or the process
/// ends, however it does.
#[derive(Debug)]
pub(crate) struct Bouncer {
    folder: Folder,
    process: Child,
    /// Of use until this is dropped.
    guard: Option<(Hold, Child)>,
}

impl Bouncer {
    /// Starts one in front of a server, with so many sessions for each database and user, and
    /// blocks until it answers. Every role of the server gets in.
    pub(crate) fn start(server: &PgConnectOptions, sessions: usize) -> Result<Self, Error> {
        let program = find()?;
        let account = Account::find()?;
        let base = Base::make(&Binaries::find()?, account)?;
        let lock = base.lock()?;
        let folder = base.folder(account)?;
        let guard = guardian::guard(&folder, 0)?;
        drop(lock);
        let settings = settings(&folder, server, sessions, has_prepared_statements(&program));
        let file = folder.data().join("pgbouncer.ini");
        fs::write(&file, settings).map_err(Error::file("write", &file))?;
        let path = folder.log();
        let log = File::create(&path).map_err(Error::file("make", &path))?;
        let process = account
            .command(&program)
            .arg(&file)
            .current_dir(folder.data())
            .stderr(log)
            .spawn()
            .map_err(|source| Error::Run { program: program.display().to_string(), source })?;
        let mut bouncer = Self { folder, process, guard: Some(guard) };
        let end = Instant::now() + PATIENCE;
        while !wire::answers(&bouncer.folder.socket(), USER) {
            let ended = !matches!(bouncer.process.try_wait(), Ok(None));
            if ended || Instant::now() > end {
                let said = fs::read_to_string(&path).unwrap_or_default();
                return Err(Error::Failed { program: "pgbouncer", said });
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(bouncer)
    }

    /// Options that connect here and are otherwise those given.
    pub(crate) fn options(&self, options: PgConnectOptions) -> PgConnectOptions {
        options.socket(self.folder.sockets()).port(PORT).ssl_mode(PgSslMode::Disable)
    }

    /// The folder of its socket.
    pub(crate) fn sockets(&self) -> PathBuf {
        self.folder.sockets()
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if let Some((hold, mut guardian)) = self.guard.take() {
            drop(hold);
            let _ = guardian.wait();
        }
    }
}

/// Looks in `PATH`, and where Debian has it.
fn find() -> Result<PathBuf, Error> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join("pgbouncer"))
        .find(|program| program.is_file())
        .ok_or(Error::NoPgbouncer)
}

/// Whether it is one that keeps prepared statements for its clients, from 1.21 on.
fn has_prepared_statements(program: &Path) -> bool {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut numbers = text
        .split_whitespace()
        .nth(1)
        .unwrap_or_default()
        .split('.')
        .filter_map(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(1), Some(21))
}

fn settings(
    folder: &Folder,
    server: &PgConnectOptions,
    sessions: usize,
    has_prepared_statements: bool,
) -> String {
    let (data, sockets) = (folder.data(), folder.sockets());
    let host = server
        .get_socket()
        .map_or_else(|| server.get_host().to_owned(), |folder| folder.display().to_string());
    let mut text = format!(
        "[databases]\n\
         * = host={host} port={server_port}\n\
         [pgbouncer]\n\
         listen_addr =\n\
         listen_port = {PORT}\n\
         unix_socket_dir = {sockets}\n\
         pidfile = {data}/pgbouncer.pid\n\
         auth_type = trust\n\
         auth_user = {user}\n\
         stats_users = {user}\n\
         auth_query = SELECT rolname::text, ''::text FROM pg_catalog.pg_roles WHERE rolname = $1\n\
         pool_mode = transaction\n\
         default_pool_size = {sessions}\n\
         max_client_conn = 300\n\
         server_reset_query = DISCARD ALL\n",
        server_port = server.get_port(),
        sockets = sockets.display(),
        data = data.display(),
        user = server.get_username(),
    );
    if has_prepared_statements {
        let _ = writeln!(text, "max_prepared_statements = 0");
    }
    text
}
