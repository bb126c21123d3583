//! UmaDB's server, of its Python wheel: a new one with an empty file for each figure.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Failure;

/// How long it may take to start and to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server.
pub(crate) struct UmaDb {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl UmaDb {
    pub(crate) fn start() -> Result<Self, Failure> {
        let work = std::env::var("PEERS_WORK")?;
        let program = std::env::var("PEERS_UMADB")?;
        let folder = Path::new(&work).join("umadb");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir(&folder)?;
        // a port that was free a moment ago
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let child = Command::new(&program)
            .args(["--listen", &format!("127.0.0.1:{port}"), "--db-path"])
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{program}: {error}"))?;
        let started = Self { child, port, folder };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > deadline {
                started.stop()?;
                return Err("UmaDB's server does not listen".into());
            }
            thread::yield_now();
        }
        Ok(started)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Ends it; what it stored goes with it.
    pub(crate) fn stop(mut self) -> Result<(), Failure> {
        self.child.kill()?;
        self.child.wait()?;
        fs::remove_dir_all(&self.folder)?;
        Ok(())
    }
}
