//! How often a run asks the server: one `Sync` or simple query is one round trip.

use es_pgtest::{Proxy, Server};
use serde_json::json;

use crate::database::{Database, directly};
use crate::support::{RUN, Workspace};

/// What a step of a posting that is alone may cost: the lock, at times twice, the end of the wave before with the
/// beginning of its own (one append), the posting's load, and its result (one append). Other processes are
/// told of an append beside it, which takes up to one for each.
const A_STEP: u64 = 7;

/// What a run through so many conversations takes.
fn round_trips(steps: i32) -> u64 {
    let (workspace, database) = (Workspace::with_chain(1, steps), Database::migrated());
    let proxy = database.runtime.block_on(Proxy::start(Server::shared()));
    let name = database.test.name();
    let options = proxy.options(name);
    let (user, host, port) = (options.get_username(), options.get_host(), options.get_port());
    let url = format!("postgres://{user}@{host}:{port}/{name}?sslmode=disable");
    // kept states cost a round trip now and then
    let run = [&RUN[..], &["--snapshot-interval", "1000000", "--json"]].concat();
    let report = directly(&workspace, &url, &run).expect_code(0).json();
    assert_eq!((&report["postings"], &report["open"]), (&json!(1), &json!(0)));
    proxy.syncs()
}

#[test]
fn a_step_takes_few_round_trips() {
    const MORE: u64 = 40;
    let (few, many) = (round_trips(5), round_trips(45));
    // what the frontier and the read models take at the end differs by a few
    let allowed = A_STEP * MORE + MORE / 2;
    assert!(many - few <= allowed, "{MORE} steps took {} round trips", many - few);
    println!("{} round trips a step", (many - few) / MORE);
}
