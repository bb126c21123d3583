//! A PostgreSQL cluster: made, started, stopped and killed.

use std::{
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    account::Account,
    binaries::Binaries,
    error::Error,
    folder::{Folder, PORT, STANDBY_PORT},
    tls::{self, Authority, Certificate},
    wanted::Wanted,
    wire,
};

/// The superuser.
pub(crate) const USER: &str = "postgres";

/// What every server is told; data that does not survive the machine need not reach the disk.
/// Dynamic shared memory is in files of the cluster, so that nothing of it outlives the folder.
pub(crate) const DEFAULTS: &[(&str, &str)] = &[
    ("listen_addresses", ""),
    ("fsync", "off"),
    // stores refuse such a server unless it says that it is meant
    ("es_postgres.fsync_off", "accepted"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "off"),
    ("max_connections", "300"),
    ("max_prepared_transactions", "20"),
    ("dynamic_shared_memory_type", "mmap"),
];

/// How long a server may take to start, recovery included, or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long to wait between two looks at something that says nothing when it changes.
const LOOK: Duration = Duration::from_millis(10);

/// A cluster and the programs to run it.
#[derive(Debug)]
pub(crate) struct Cluster {
    binaries: Binaries,
    account: Account,
    folder: Folder,
}

impl Cluster {
    /// Makes a cluster in an empty folder. The settings override [`DEFAULTS`].
    pub(crate) fn make(
        binaries: Binaries,
        account: Account,
        folder: Folder,
        settings: &[(&str, &str)],
    ) -> Result<Self, Error> {
        let program = binaries.program("initdb");
        let output = account
            .command(&program)
            .args(["--no-sync", "--encoding=UTF8", "--auth=trust"])
            .args(Wanted::from_environment().initdb())
            .arg(format!("--username={USER}"))
            .arg("--pgdata")
            .arg(folder.data())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .map_err(|source| Error::Run { program: program.display().to_string(), source })?;
        if !output.status.success() {
            let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
            said.push_str(&String::from_utf8_lossy(&output.stderr));
            return Err(Error::Failed { program: "initdb", said });
        }
        let sockets = folder.sockets().display().to_string();
        let port = PORT.to_string();
        let place = [("unix_socket_directories", sockets.as_str()), ("port", port.as_str())];
        let all: Vec<_> = DEFAULTS.iter().chain(settings).chain(&place).copied().collect();
        configure(&folder.data(), &all)?;
        Ok(Self { binaries, account, folder })
    }

    /// Lets a cluster that has not run yet take connections at a port of 127.0.0.1, and answers it.
    pub(crate) fn listen(&self) -> Result<u16, Error> {
        let port = tls::free_port();
        let settings = [("listen_addresses", "127.0.0.1"), ("port", &port.to_string())];
        configure(&self.folder.data(), &settings)?;
        tls::link_socket(&self.folder, port)?;
        Ok(port)
    }

    /// Changes which certificate the server shows from its next start on.
    pub(crate) fn secure(
        &self,
        certificate: Option<&Certificate>,
        clients: Option<&Authority>,
    ) -> Result<(), Error> {
        let settings = tls::install(&self.folder, self.account, certificate, clients)?;
        configure(&self.folder.data(), &settings)
    }

    /// Starts the server and waits until it answers.
    pub(crate) fn start(&self) -> Result<Child, Error> {
        self.run(&self.folder.data(), &self.folder.socket())
    }

    /// Makes a streaming standby of a cluster that has not run yet, for whose answer every commit
    /// waits. It is started after the server.
    pub(crate) fn make_standby(&self) -> Result<(), Error> {
        let (data, standby) = (self.folder.data(), self.folder.standby());
        let mut copy = self.account.command(Path::new("cp"));
        let copied = copy.arg("-R").arg(data.join(".")).arg(&standby).status();
        if !copied.is_ok_and(|status| status.success()) {
            return Err(Error::Failed { program: "cp", said: standby.display().to_string() });
        }
        // kept for a standby whose connection was ended, or that is slow
        configure(&data, &[("synchronous_standby_names", "*"), ("wal_keep_size", "4GB")])?;
        let primary = format!("host={} port={PORT} user={USER}", self.folder.sockets().display());
        let port = STANDBY_PORT.to_string();
        configure(&standby, &[("primary_conninfo", &primary), ("port", &port)])?;
        let signal = standby.join("standby.signal");
        fs::write(&signal, "").map_err(Error::file("write", &signal))?;
        self.account.own(&signal)
    }

    /// Starts the standby and waits until it answers.
    pub(crate) fn start_standby(&self) -> Result<Child, Error> {
        self.run(&self.folder.standby(), &self.folder.standby_socket())
    }

    /// Runs a server in this folder, and waits until it answers at this socket.
    fn run(&self, data: &Path, socket: &Path) -> Result<Child, Error> {
        let path = self.folder.log();
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .map_err(Error::file("open", &path))?;
        let second = log.try_clone().map_err(Error::file("open", &path))?;
        let program = self.binaries.program("postgres");
        let mut child = self
            .account
            .command(&program)
            .arg("-D")
            .arg(data)
            .stdout(log)
            .stderr(second)
            .spawn()
            .map_err(|source| Error::Run { program: program.display().to_string(), source })?;
        let end = Instant::now() + PATIENCE;
        while !wire::answers(socket, USER) {
            if !matches!(child.try_wait(), Ok(None)) {
                return Err(Error::Failed { program: "postgres", said: self.log_end() });
            }
            if Instant::now() > end {
                let _ = child.kill();
                let _ = child.wait();
                return Err(Error::Silent { seconds: PATIENCE.as_secs(), log: self.log_end() });
            }
            thread::sleep(LOOK);
        }
        Ok(child)
    }

    /// Stops the server: in order, with a checkpoint, or at once, which leaves recovery to the
    /// next start. Kills it if it does not stop.
    pub(crate) fn stop(&self, mut child: Child, at_once: bool) {
        signal(&child, if at_once { Signal::QUIT } else { Signal::INT });
        let end = Instant::now() + PATIENCE;
        while matches!(child.try_wait(), Ok(None)) {
            if Instant::now() > end {
                self.kill(child);
                return;
            }
            thread::sleep(LOOK);
        }
    }

    /// Kills the server and every process of it as the loss of the machine would, and waits
    /// until none is left, so that the server can start again.
    pub(crate) fn kill(&self, mut child: Child) {
        signal(&child, Signal::KILL);
        let _ = child.wait();
        // its processes are in groups of their own; what they share is where they work
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let left = self.processes();
            if left.is_empty() {
                break;
            }
            for pid in left {
                let _ = kill_process(pid, Signal::KILL);
            }
            thread::sleep(LOOK);
        }
    }

    /// Frees the few bytes of System V shared memory that a killed server leaves to the next
    /// start, for when there is none.
    pub(crate) fn forget(&self) {
        let Ok(text) = fs::read_to_string(self.folder.data().join("postmaster.pid")) else {
            return;
        };
        let segment = text.lines().nth(6).and_then(|line| line.split_whitespace().nth(1));
        if let Some(segment) = segment {
            let _ = Command::new("ipcrm")
                .args(["-m", segment])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
    }

    /// The folder of the cluster.
    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The live processes whose working folder is the cluster, by Linux's `/proc`. Elsewhere
    /// none is seen; they end by themselves when they notice that the server is gone.
    fn processes(&self) -> Vec<Pid> {
        let data = self.folder.data();
        fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == data))
            .filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
            .collect()
    }

    /// The last lines of what the server said.
    fn log_end(&self) -> String {
        let text = fs::read(self.folder.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// Adds lines to the settings of a server.
fn configure(data: &Path, settings: &[(&str, &str)]) -> Result<(), Error> {
    let mut text = String::from("\n# es-pgtest: of two lines for one setting the last counts\n");
    for (name, value) in settings {
        let _ = writeln!(text, "{name} = '{}'", value.replace('\'', "''"));
    }
    let path = data.join("postgresql.conf");
    OpenOptions::new()
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(Error::file("write", &path))
}

/// Sends a signal to the server, and none to its other processes.
fn signal(child: &Child, signal: Signal) {
    if let Some(pid) = Pid::from_raw(child.id().cast_signed()) {
        let _ = kill_process(pid, signal);
    }
}
