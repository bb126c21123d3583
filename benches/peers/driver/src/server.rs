//! The PostgreSQL server that `run` has started.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::Failure;

/// Where it is.
pub(crate) struct Server {
    /// The folder for what a run leaves.
    pub(crate) folder: PathBuf,
    /// The process to which its processor time belongs, with its children's.
    pub(crate) postmaster: u32,
    /// PostgreSQL's programs.
    programs: PathBuf,
    port: String,
}

fn variable(name: &str) -> Result<String, Failure> {
    std::env::var(name).map_err(|_| format!("{name} is not set; use benches/peers/run").into())
}

impl Server {
    pub(crate) fn from_environment() -> Result<Self, Failure> {
        Ok(Self {
            folder: variable("PEERS_WORK")?.into(),
            postmaster: variable("PEERS_POSTMASTER")?.parse()?,
            programs: variable("PEERS_POSTGRES")?.into(),
            port: variable("PEERS_PORT")?,
        })
    }

    /// A program of PostgreSQL's.
    pub(crate) fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://peers@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes a database anew and writes out what earlier ones left in memory; answers its address.
    pub(crate) fn fresh(&self, name: &str) -> Result<String, Failure> {
        self.sql("postgres", &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))?;
        self.sql("postgres", &format!("CREATE DATABASE {name}"))?;
        self.sql("postgres", "CHECKPOINT")?;
        Ok(self.url(name))
    }

    /// What a statement answers.
    pub(crate) fn sql(&self, database: &str, statement: &str) -> Result<String, Failure> {
        let mut psql = self.program("psql");
        psql.args(["-qAtX", "-v", "ON_ERROR_STOP=1", "-c", statement, &self.url(database)]);
        let output = psql.output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().into());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}
