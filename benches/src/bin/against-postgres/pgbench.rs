//! The server's own benchmark program, with the same single INSERT.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use es_benches::Workload;
use es_pgtest::{Server, TestDatabase};
use tempfile::TempDir;

use crate::Failure;

/// Runs `pgbench` against one database.
pub(crate) struct Pgbench {
    folder: TempDir,
    url: String,
    /// Postings of the rounds before.
    postings: u64,
}

/// What one run of it took.
pub(crate) struct Run {
    /// The middle transaction.
    pub(crate) median: Duration,
    /// Transactions in a second, over all clients.
    pub(crate) rate: f64,
}

impl Pgbench {
    pub(crate) fn new(database: &TestDatabase) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("single.sql"), include_str!("sql/single.sql"))?;
        Ok(Self { folder, url: database.url(), postings: 0 })
    }

    /// So many clients insert so many events each, every one in a prepared statement and a
    /// transaction of its own.
    pub(crate) fn run(&mut self, clients: usize, events: u64) -> Result<Run, Failure> {
        let event = Workload::seeded(self.postings).event();
        self.remove_logs()?;
        let share = events.div_ceil(10);
        let log = self.folder.path().join("transactions");
        let output = Command::new(Server::program("pgbench"))
            .args(["-n", "-M", "prepared", "-l"])
            .args(["-c", &clients.to_string(), "-j", &clients.min(2).to_string()])
            .args(["-t", &events.to_string()])
            .arg(format!("--log-prefix={}", log.display()))
            .args(["-D", "n=0"])
            .args(["-D", &format!("first={}", self.postings)])
            .args(["-D", &format!("share={share}")])
            .args(["-D", &format!("ids={:08x}-0000-7000-8000-", self.postings)])
            .args(["-D", &format!("data={}", event.payload)])
            .args(["-D", &format!("metadata={}", serde_json::to_string(&event.metadata)?)])
            .arg("-f")
            .arg(self.folder.path().join("single.sql"))
            .arg(&self.url)
            .stdin(Stdio::null())
            .output()?;
        self.postings += share * clients as u64;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find_map(|line| line.strip_prefix("tps = "));
        let rate = line.and_then(|line| line.split(' ').next()).ok_or("pgbench tells no rate")?;
        Ok(Run { median: self.median()?, rate: rate.parse()? })
    }

    fn logs(&self) -> Result<Vec<PathBuf>, Failure> {
        let mut logs = Vec::new();
        for entry in fs::read_dir(self.folder.path())? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "sql") {
                logs.push(path);
            }
        }
        Ok(logs)
    }

    fn remove_logs(&self) -> Result<(), Failure> {
        for log in self.logs()? {
            fs::remove_file(log)?;
        }
        Ok(())
    }

    fn median(&self) -> Result<Duration, Failure> {
        let mut micros = Vec::new();
        for log in self.logs()? {
            for line in fs::read_to_string(log)?.lines() {
                // client, transaction, microseconds, …
                let took = line.split(' ').nth(2).ok_or("a line of the log has no time")?;
                micros.push(took.parse::<u64>()?);
            }
        }
        micros.sort_unstable();
        let median = micros.get(micros.len() / 2).ok_or("pgbench logged no transaction")?;
        Ok(Duration::from_micros(*median))
    }
}
