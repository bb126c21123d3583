//! What a store tells in plain text, in a build with and in one without one of sqlx's features for
//! TLS. `./test` makes both.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

use es_core::backend::StoreErrorKind;
use es_postgres::sqlx::postgres::{PgConnectOptions, PgSslMode};
use es_postgres::{Migrations, PostgresConfig, PostgresStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const CANARY: &str = "canary-19d2";

/// The packet that asks a server for encryption.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// What a server without encryption was told by who asked it for migrations and for a store.
struct Attempt {
    told: Vec<u8>,
    error: es_core::backend::StoreError,
}

impl Attempt {
    async fn of(config: impl FnOnce(u16) -> PostgresConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = config(listener.local_addr().unwrap().port());
        let mut told = Vec::new();
        let server = async {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let mut first = [0; 8];
                if client.read_exact(&mut first).await.is_ok() {
                    told.extend(first);
                    if first == SSL_REQUEST {
                        client.write_all(b"N").await.unwrap();
                        client.read_buf(&mut told).await.unwrap();
                    }
                }
            }
        };
        let client = async {
            let migrations = Migrations::of_store(config.names());
            migrations.apply(&config).await.unwrap_err();
            PostgresStore::open(config).await.unwrap_err()
        };
        let error = tokio::select! {
            error = client => error,
            () = server => unreachable!("it ends with its clients"),
        };
        Self { told, error }
    }

    fn is_plain(&self) -> bool {
        self.told.chunks(8).any(|chunk| chunk != SSL_REQUEST)
    }
}

#[tokio::test]
async fn nothing_is_told_in_plain_text_that_was_to_be_encrypted() {
    let at = |host: &'static str, rest: &'static str| {
        move |port| {
            format!("postgres://u:{CANARY}@{host}:{port}/d{rest}")
                .parse::<PostgresConfig>()
                .unwrap()
        }
    };
    let options = |port| {
        PgConnectOptions::new_without_pgpass().host("127.1").port(port).username("u").database("d")
    };
    // `prefer` shows which build this is: only one with a feature asks
    let preferring = Attempt::of(at("127.0.0.1", "?sslmode=prefer")).await;
    assert!(preferring.is_plain());
    let has_feature = preferring.told.starts_with(&SSL_REQUEST);
    if std::env::var_os("ES_POSTGRES_WITHOUT_TLS").is_some() {
        assert!(!has_feature, "a dependency enables a feature of sqlx for TLS");
    }
    let cure = if has_feature { "ssl = on" } else { "tls-rustls-ring-native-roots" };

    let refused = [
        Attempt::of(at("127.0.0.1", "?sslmode=require")).await,
        Attempt::of(at("127.0.0.1", "?sslmode=verify-ca")).await,
        Attempt::of(at("127.0.0.1", "?sslmode=verify-full")).await,
        Attempt::of(at("127.0.0.1", "?sslmode=verify-full&pooled=true")).await,
        // a name that leads here: the resolver knows it, we look none up
        Attempt::of(at("127.1", "")).await,
        Attempt::of(at("127.1", "?pooled=true")).await,
        Attempt::of(|port| PostgresConfig::new(options(port))).await,
        Attempt::of(|port| PostgresConfig::new(options(port).ssl_mode(PgSslMode::Require))).await,
    ];
    for attempt in refused {
        let (error, told) = (&attempt.error, &attempt.told);
        assert!(!attempt.is_plain(), "{}", String::from_utf8_lossy(told));
        assert_eq!(!told.is_empty(), has_feature);
        assert_eq!(error.kind(), StoreErrorKind::Other, "{error:?}");
        assert!(error.to_string().contains(cure), "{error}");
        assert!(error.to_string().contains("sslmode=disable"), "{error}");
        assert!(!format!("{error:?}").contains(CANARY), "{error:?}");
    }

    let said = [
        Attempt::of(at("127.1", "?sslmode=disable")).await,
        Attempt::of(at("127.1", "?sslmode=prefer")).await,
        Attempt::of(at("127.0.0.1", "")).await,
        Attempt::of(at("localhost", "")).await,
        Attempt::of(|port| PostgresConfig::new(options(port)).ssl_mode(PgSslMode::Disable)).await,
    ];
    for attempt in said {
        assert!(attempt.is_plain());
        // the server went away
        assert_eq!(attempt.error.kind(), StoreErrorKind::Unavailable, "{:?}", attempt.error);
    }
}
