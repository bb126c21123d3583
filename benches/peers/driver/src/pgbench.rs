//! The server's own benchmark program with a single durable INSERT.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::samples::Sample;
use crate::server::Server;
use crate::{Failure, cpu};

/// The two documents of the specification's event, as the harness makes them.
const PAYLOAD_LETTERS: usize = 148;
const METADATA: &str = r#"{"conversation_id": 9184, "actor_id": 12345, "duration_ms": 7, "causation_id": "019a1b2c-3d4e-7f50-8f50-0123456789ab", "correlation_id": "workflow_3001_posting_12345"}"#;

/// So many clients insert for so long, each statement prepared and each in its own transaction.
pub(crate) fn run(server: &Server, clients: u64, seconds: f64) -> Result<Sample, Failure> {
    let sql = Path::new(env!("CARGO_MANIFEST_DIR")).join("../limits/sql");
    let url = server.fresh("pgbench")?;
    server.sql("pgbench", &fs::read_to_string(sql.join("create_events.sql"))?)?;
    let logs = server.folder.join("pgbench");
    if logs.exists() {
        fs::remove_dir_all(&logs)?;
    }
    fs::create_dir(&logs)?;
    let payload = "x".repeat(PAYLOAD_LETTERS);
    let payload = format!(r#"{{"output": "{payload}", "status": "SUCCESS"}}"#);
    let before = cpu::Busy::now(server.postmaster)?;
    let output = server
        .program("pgbench")
        .args(["-n", "-M", "prepared", "-l", "-D", "n=0"])
        .args(["-c", &clients.to_string(), "-j", &clients.min(2).to_string()])
        // it counts in whole seconds
        .args(["-T", &format!("{:.0}", seconds.ceil())])
        .arg(format!("--log-prefix={}", logs.join("transactions").display()))
        .args(["-D", &format!("data={payload}"), "-D", &format!("metadata={METADATA}")])
        .arg("-f")
        .arg(sql.join("single.sql"))
        .arg(&url)
        .output()?;
    let foreign = cpu::Busy::now(server.postmaster)?.foreign_since(&before);
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().into());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("tps = "));
    let rate = line.and_then(|line| line.split(' ').next()).ok_or("pgbench tells no rate")?;
    let micros = transactions(&logs)?;
    let within = |hundredths: usize| micros.get(micros.len() * hundredths / 100);
    let value = json!({ "rate": rate.parse::<f64>()?, "p50": within(50), "p99": within(99) });
    Ok(Sample { value: Some(value), error: None, foreign })
}

/// What each transaction took, sorted.
fn transactions(logs: &Path) -> Result<Vec<u64>, Failure> {
    let mut micros = Vec::new();
    for log in fs::read_dir(logs)? {
        for line in fs::read_to_string(log?.path())?.lines() {
            // client, transaction, microseconds, …
            let took = line.split(' ').nth(2).ok_or("a line of pgbench's log has no time")?;
            micros.push(took.parse::<u64>()?);
        }
    }
    micros.sort_unstable();
    Ok(micros)
}
