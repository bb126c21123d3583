//! The password is nowhere to be seen.

use es_core::EventStore;
use es_pgtest::Server;
use es_postgres::{IdType, Layout, Migrations, PostgresConfig, PostgresStore};

use crate::support::{database, to, told};

const CANARY: &str = "canary-7f3a";

#[tokio::test]
async fn no_password_is_in_any_text() {
    let database = database(IdType::Text).await;
    let config = PostgresConfig::new(database.options().password(CANARY));
    let store = PostgresStore::open(config.clone()).await.unwrap();
    let mut texts = vec![format!("{config:?} {config:#?} {store:?} {store:#?}"), config.place()];
    let server = Server::shared();
    let bad = [
        database.options().password(CANARY).database("nowhere"),
        database.options().password(CANARY).username("nobody_here"),
        server.connect_options("x").password(CANARY).host("127.0.0.1").port(1),
        database.options().password(CANARY).options([("no_such_setting", "1")]),
    ];
    for options in bad {
        let config = PostgresConfig::new(options);
        let error = PostgresStore::open(config.clone()).await.unwrap_err();
        texts.push(format!("{error} {error:?} {}", told(&error)));
        let migrated = Migrations::of_store(&Layout::default()).apply(&config).await;
        let error = migrated.unwrap_err();
        texts.push(format!("{error} {error:?} {}", told(&error)));
    }
    let addresses = [
        format!("postgres://u:{CANARY}@h:nine/d"),
        format!("postgres://u:{CANARY}@/d?sslmode=bad"),
        format!("postgres://u:{CANARY}@h/d?pasword={CANARY}"),
        format!("postgres://u:{CANARY}@[::1/d"),
        format!("mysql://u:{CANARY}@h/d"),
    ];
    for address in addresses {
        let error = address.parse::<PostgresConfig>().unwrap_err();
        texts.push(format!("{error} {error:?} {}", told(&error)));
    }
    store.append(to("account/a")).await.unwrap();
    let error = store.append(to(&format!("account/{}", "a".repeat(200)))).await;
    texts.push(format!("{error:?}"));
    for text in texts {
        assert!(!text.contains(CANARY), "{text}");
    }
}
