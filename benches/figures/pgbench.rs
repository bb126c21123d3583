//! The server's own benchmark program, with a single INSERT.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use es_benches::Workload;
use es_pgtest::Server;

use crate::Failure;
use crate::held::Held;
use crate::postgres::Postgres;
use crate::samples::Sample;

/// So many clients insert so many events each, every one in a prepared statement and a transaction of
/// its own.
pub(crate) async fn run(
    postgres: &Postgres,
    clients: usize,
    events: u64,
) -> Result<Sample, Failure> {
    let url = postgres.fresh().await?;
    Held::connect(&url).await?.run(include_str!("sql/create_events.sql")).await?;
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("single.sql");
    fs::write(&script, include_str!("sql/single.sql"))?;
    let logs = folder.path().join("logs");
    fs::create_dir(&logs)?;
    let event = Workload::seeded(1).event();
    let meter = postgres.meter().await?;
    let output = Command::new(Server::program("pgbench"))
        .args(["-n", "-M", "prepared", "-l", "-D", "n=0"])
        .args(["-c", &clients.to_string(), "-j", &clients.min(2).to_string()])
        .args(["-t", &events.to_string()])
        .arg(format!("--log-prefix={}", logs.join("transactions").display()))
        .args(["-D", &format!("data={}", event.payload)])
        .args(["-D", &format!("metadata={}", serde_json::to_string(&event.metadata)?)])
        .arg("-f")
        .arg(&script)
        .arg(&url)
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("tps = "));
    let rate = line.and_then(|line| line.split(' ').next()).ok_or("pgbench tells no rate")?;
    let all = events * clients as u64;
    // as it counts itself: connecting is not a part of it
    let took = Duration::from_secs_f64(all as f64 / rate.parse::<f64>()?);
    Ok(meter.stop(all, Some(took))?.timed(transactions(&logs)?))
}

/// What each transaction took.
fn transactions(logs: &Path) -> Result<Vec<Duration>, Failure> {
    let mut each = Vec::new();
    for log in fs::read_dir(logs)? {
        for line in fs::read_to_string(log?.path())?.lines() {
            // client, transaction, microseconds, …
            let took = line.split(' ').nth(2).ok_or("a line of pgbench's log has no time")?;
            each.push(Duration::from_micros(took.parse()?));
        }
    }
    Ok(each)
}
