//! `turing backup`: a copy of a store in a file, while others write to it.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use serde_json::json;

use super::arguments::Common;
use super::interrupts::Interrupts;
use super::output::Output;
use super::{Failure, Verdict};
use crate::proposal::command;
use crate::store::StoreUrl;

#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    #[command(flatten)]
    common: Common,
    /// The file to make; there must be none of this name. It is whole as soon as it is there.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

pub(super) async fn execute(
    args: &BackupArgs,
    interrupts: &Interrupts,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let url = args.common.store()?;
    let path = match &url {
        StoreUrl::Sqlite(path) => path,
        StoreUrl::Postgres(_) => {
            let what = format!(
                "a PostgreSQL database is backed up by its own programs: use pg_dump, and after \
                 restoring run `{}`, where roles are used, and `{}`; docs/postgresql.md says more",
                command("migrate --roles"),
                command("validate")
            );
            return Err(Failure::Usage { what });
        }
        StoreUrl::Memory => {
            let what = "memory: has nothing to be backed up; name a file, --store sqlite:PATH";
            return Err(Failure::Usage { what: what.to_owned() });
        }
    };
    let is_asked = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&is_asked);
    let go_on = move |_| match stop.load(Ordering::Relaxed) {
        false => ControlFlow::Continue(()),
        true => ControlFlow::Break(()),
    };
    let mut interrupted = interrupts.going()?;
    let backup = es_sqlite::backup(path, &args.to, go_on);
    tokio::pin!(backup);
    let backup = loop {
        tokio::select! {
            made = &mut backup => break made?,
            Ok(()) = interrupted.changed() => {
                if *interrupted.borrow() > 1 {
                    // as after a kill, what it has made stays
                    return Err(Failure::BackupInterrupted);
                }
                // it removes what it has made, and ends
                is_asked.store(true, Ordering::Relaxed);
            }
        }
    };
    if args.common.json {
        let (to, end) = (backup.path.display().to_string(), backup.end.to_sequence());
        output.json(&json!({ "to": to, "bytes": backup.bytes, "end": end }));
    } else {
        output.line(format_args!(
            "{url} was copied to {}, with every event up to {}: {} bytes",
            backup.path.display(),
            backup.end,
            backup.bytes
        ));
    }
    Ok(Verdict::Well)
}
