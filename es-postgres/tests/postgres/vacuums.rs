//! A migration needs a table that the server vacuums on its own.

use std::time::Duration;

use es_pgtest::Server;
use es_postgres::{IdType, Layout, Migrations, PostgresConfig};

use crate::support::waiting::{soon, until};
use crate::support::{database_on, run, value};

/// A vacuum of it takes the better part of a minute: a tenth of a second a page.
const LARGE: &str = "
    CREATE TABLE large (n INT) WITH (
        autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0,
        autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1
    );
    INSERT INTO large SELECT n FROM generate_series(1, 100000) n;
    DELETE FROM large WHERE n % 2 = 0";

#[tokio::test(flavor = "multi_thread")]
async fn a_vacuum_makes_way_for_a_migration() {
    let server = Server::private(&[("autovacuum_naptime", "1s")]);
    let database = database_on(&server, IdType::Text).await;
    run(&database, LARGE).await;
    let vacuums = "SELECT EXISTS (SELECT FROM pg_locks
                   WHERE granted AND mode = 'ShareUpdateExclusiveLock'
                       AND relation = 'large'::regclass)";
    until("it is vacuumed", async || value::<bool>(&database, vacuums).await).await;
    let migrations = Migrations::new(
        &Layout::default(),
        &"more_migrations".parse().unwrap(),
        &[("more", "ALTER TABLE \"{schema}\".large ADD COLUMN more INT")],
    );
    let config = PostgresConfig::new(database.options()).lock_timeout(Duration::from_secs(20));
    assert_eq!(soon("it migrates", migrations.apply(&config)).await.unwrap(), 1);
    assert_eq!(value::<i64>(&database, "SELECT count(more) FROM large").await, 0);
}
