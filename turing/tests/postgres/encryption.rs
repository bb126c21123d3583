//! Encrypted connections: which server is believed, what is told when none is, and that every
//! connection of the program keeps the rule.

use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use es_core::ExpectedVersion;
use es_core::backend::{AppendError, AppendRequest, NewEvent};
use es_core::event::{EventId, Payload, ReadLog, ReadStream, StreamId};
use es_core::execution::StoreErrorKind;
use es_pgtest::{Authority, Certificate, Server};
use es_postgres::PostgresConfig;
use es_postgres::sqlx::postgres::{PgConnectOptions, PgSslMode};
use es_postgres::sqlx::{self, ConnectOptions};
use tempfile::TempDir;
use turing::read_models::rebuild_in_database;
use turing::store::{Access, Store, StoreUrl, postgres};
use turing::validate::validate_postgres;
use turing_domain::{PostingId, WorkflowId};

use crate::database::{Database, directly as turing};
use crate::support::{Answer, Workspace};

const CANARY: &str = "canary-8a1e";

/// A server with a port, one database on it, and the files of a client.
struct Scene {
    server: Server,
    database: Database,
    files: TempDir,
}

impl Scene {
    /// Clients may come by the port as these rules say; `local` is trusted.
    fn new(rules: &str) -> Self {
        let files = tempfile::tempdir().unwrap();
        fs::set_permissions(files.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let path = files.path().join("pg_hba.conf");
        fs::write(&path, format!("local all all trust\n{rules}\n")).unwrap();
        let server = Server::private_with_port(&[("hba_file", path.to_str().unwrap())]);
        let database = Database::on(&server);
        Self { server, database, files }
    }

    fn migrated(rules: &str) -> Self {
        let scene = Self::new(rules);
        turing(&Workspace::new(), &scene.database.url(), &["migrate"]).expect_code(0);
        scene
    }

    /// A file for a parameter of the address.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.files.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn address(&self, host: &str, parameters: &str) -> String {
        let url = self.server.port_url(host, "postgres", self.database.test.name());
        // the server trusts whoever comes, so the password is only there to be shown nowhere
        let url = url.replace("postgres@", &format!("postgres:{CANARY}@"));
        format!("{url}?{parameters}")
    }

    /// Whether the store that this address leads to is encrypted, or why it cannot be opened.
    fn open(&self, address: &str) -> Result<bool, String> {
        self.database.runtime.block_on(async {
            // connections of the store before may be ending still
            let name = format!("encryption-{:016x}", fastrand::u64(..));
            let url: StoreUrl = format!("{address}&application_name={name}").parse().unwrap();
            let opened = Store::open(&url, Access::Existing).await;
            let store = opened.map_err(|error| told(&error))?;
            store.events.end_of_log().await.unwrap();
            let is_encrypted = self.connections(&name).await.iter().all(|(_, is)| *is);
            store.close().await;
            Ok(is_encrypted)
        })
    }

    /// The last statement of each connection of a program by way of the port, and whether it is
    /// encrypted.
    async fn connections(&self, program: &str) -> Vec<(String, bool)> {
        let mut administrator = self.database.test.options().connect().await.unwrap();
        let statement = "SELECT query, ssl FROM pg_stat_activity JOIN pg_stat_ssl USING (pid)
                         WHERE client_addr IS NOT NULL
                             AND (application_name = $1 OR starts_with(application_name, $1 || ' on '))";
        let found = sqlx::query_as(statement).bind(program);
        let found: Vec<(String, bool)> = found.fetch_all(&mut administrator).await.unwrap();
        assert!(!found.is_empty());
        found
    }
}

fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

#[test]
fn a_server_is_believed_as_far_as_the_mode_says() {
    let scene = Scene::migrated("host all all 127.0.0.1/32 trust");
    let (ours, others) = (Authority::new(), Authority::new());
    let ca = format!("sslrootcert={}", scene.file("ours.pem", &ours.pem()));
    let other = format!("sslrootcert={}", scene.file("others.pem", &others.pem()));
    let lone = format!("{ca}&sslcert={}", scene.file("lone.pem", &ours.client("x").certificate));

    let encrypted = Ok(true);
    let plain = Ok(false);
    // what a message names besides its cause
    let authority = Err("sslrootcert=FILE");
    let offered = Err("takes no encrypted connections");
    let servers = [
        (
            Some(ours.server("localhost")),
            vec![
                ("localhost", format!("sslmode=verify-full&{ca}"), encrypted),
                ("localhost", format!("sslmode=verify-full&pooled=true&{ca}"), encrypted),
                ("localhost", format!("sslmode=verify-ca&{ca}"), encrypted),
                ("localhost", format!("sslmode=require&{ca}"), encrypted),
                ("localhost", "sslmode=require".to_owned(), encrypted),
                ("localhost", String::new(), encrypted),
                ("localhost", "sslmode=disable".to_owned(), plain),
                // an authority that did not sign it
                ("localhost", format!("sslmode=verify-full&{other}"), authority),
                ("localhost", format!("sslmode=verify-ca&{other}"), authority),
                ("localhost", format!("sslmode=require&{other}"), authority),
                // nor did those of the system
                ("localhost", "sslmode=verify-full".to_owned(), authority),
                ("localhost", "sslrootcert=system".to_owned(), authority),
                // another name for the same server
                ("127.0.0.1", format!("sslmode=verify-full&{ca}"), authority),
                ("127.0.0.1", format!("sslmode=verify-ca&{ca}"), encrypted),
                ("127.1", ca.clone(), authority),
                // half of a client's certificate
                ("localhost", lone, Err("sslcert and sslkey need each other")),
            ],
        ),
        (
            Some(ours.server("127.0.0.1")),
            vec![("127.0.0.1", format!("sslmode=verify-full&{ca}"), encrypted)],
        ),
        (
            Some(ours.server("db.example")),
            vec![
                ("localhost", format!("sslmode=verify-full&{ca}"), authority),
                ("localhost", format!("sslmode=verify-ca&{ca}"), encrypted),
            ],
        ),
        (
            Some(ours.expired("localhost")),
            vec![
                ("localhost", format!("sslmode=verify-full&{ca}"), authority),
                ("localhost", format!("sslmode=verify-ca&{ca}"), authority),
                ("localhost", "sslmode=require".to_owned(), encrypted),
            ],
        ),
        (
            None,
            vec![
                ("localhost", format!("sslmode=verify-full&{ca}"), offered),
                ("localhost", "sslmode=require".to_owned(), offered),
                // a name that is not this machine's, and leads here
                ("127.1", String::new(), offered),
                ("127.1", "pooled=true".to_owned(), offered),
                ("127.1", "sslmode=disable".to_owned(), plain),
                ("127.1", "sslmode=prefer".to_owned(), plain),
                ("localhost", String::new(), plain),
            ],
        ),
    ];
    for (certificate, cases) in servers {
        scene.server.restart_with(certificate.as_ref(), None);
        for (host, parameters, expected) in cases {
            let found = scene.open(&scene.address(host, &parameters));
            let case = format!("{host}?{parameters} with {}: {found:?}", certificate.is_some());
            match expected {
                Ok(is_encrypted) => assert_eq!(found, Ok(is_encrypted), "{case}"),
                Err(words) => {
                    let text = found.expect_err(&case);
                    assert!(text.contains(words) && !text.contains(CANARY), "{case}");
                }
            }
        }
    }
}

#[test]
fn the_environment_says_the_mode_if_the_address_does_not() {
    let scene = Scene::migrated("host all all 127.0.0.1/32 trust");
    let workspace = Workspace::new();
    let runs = |parameters: &str, name: &str, value: &str| -> Answer {
        let mut command = workspace.command(&["runs"]);
        command.env_remove("PGSSLMODE").env(name, value);
        command.env("TURING_STORE", scene.address("127.1", parameters)).output().unwrap().into()
    };
    for mode in ["disable", "allow", "prefer", "PREFER"] {
        runs("", "PGSSLMODE", mode).expect_code(0);
    }
    let table = [
        ("", "", "takes no encrypted connections", 3),
        ("", "require", "takes no encrypted connections", 3),
        ("sslmode=require", "disable", "takes no encrypted connections", 3),
        ("", "verify_full", "PGSSLMODE", 2),
    ];
    for (parameters, mode, words, code) in table {
        let answer = runs(parameters, "PGSSLMODE", mode).expect_code(code);
        assert!(answer.stderr.contains(words), "{mode}: {answer:#?}");
        assert!(!format!("{answer:?}").contains(CANARY), "{answer:#?}");
    }
    runs("sslmode=disable", "PGSSLMODE", "verify_full").expect_code(0);

    let (ours, others) = (Authority::new(), Authority::new());
    scene.server.restart_with(Some(&ours.server("localhost")), None);
    // as an authority in the address
    let answer = runs("sslmode=require", "PGSSLROOTCERT", &others.pem()).expect_code(3);
    assert!(answer.stderr.contains("sslrootcert=FILE"), "{answer:#?}");
    let answer = runs("sslmode=require", "PGSSLROOTCERT", "/nowhere.pem").expect_code(3);
    assert!(answer.stderr.contains("a file cannot be read"), "{answer:#?}");
    assert!(answer.stderr.contains("sslrootcert"), "{answer:#?}");
}

#[test]
fn a_client_shows_its_certificate_where_the_server_asks_for_one() {
    let scene = Scene::migrated("hostssl all all 127.0.0.1/32 cert");
    let (ours, clients, others) = (Authority::new(), Authority::new(), Authority::new());
    scene.server.restart_with(Some(&ours.server("localhost")), Some(&clients));
    let ca = format!("sslmode=verify-full&sslrootcert={}", scene.file("ca.pem", &ours.pem()));
    let with = |name: &str, certificate: Certificate| {
        let certificate_file = scene.file(&format!("{name}.pem"), &certificate.certificate);
        let key_file = scene.file(&format!("{name}.key"), &certificate.key);
        scene.address("localhost", &format!("{ca}&sslcert={certificate_file}&sslkey={key_file}"))
    };
    assert_eq!(scene.open(&with("right", clients.client("postgres"))), Ok(true));
    let refused = [
        (scene.address("localhost", &ca), "a client's certificate (sslcert, sslkey)"),
        (
            with("other_user", clients.client("somebody")),
            "a client's certificate (sslcert, sslkey)",
        ),
        // the end of the connection may overtake the reason
        (with("other_authority", others.client("postgres")), ""),
        (scene.address("localhost", "sslmode=disable"), "whether it wants encryption (sslmode)"),
    ];
    for (address, words) in refused {
        let text = scene.open(&address).unwrap_err();
        assert!(text.contains(words), "{address}: {text}");
        assert!(!text.contains(CANARY), "{text}");
    }
}

/// Every command, where the server takes nothing but encrypted connections.
#[test]
fn every_command_encrypts() {
    let scene = Scene::new("hostssl all all 127.0.0.1/32 trust");
    let ours = Authority::new();
    scene.server.restart_with(Some(&ours.server("localhost")), None);
    let ca = format!("sslmode=verify-full&sslrootcert={}", scene.file("ca.pem", &ours.pem()));
    let address = scene.address("localhost", &ca);
    let workspace = Workspace::new();
    turing(&workspace, &scene.address("localhost", "sslmode=disable"), &["runs"]).expect_code(3);
    let commands = [
        &["demo"][..],
        &["migrate"],
        &["migrate", "--roles"],
        &["runs"],
        &["validate"],
        &["events", "posting", "1"],
        &["state", "posting", "1"],
        &["trace", "0193a1d4-0000-7000-8000-000000000001"],
        &["snapshot", "list"],
        &["projection", "list"],
        &["projection", "rebuild", "posting_state"],
    ];
    for command in commands {
        let answer = turing(&workspace, &address, command);
        // what was asked for may not be there; the store is
        assert!(matches!(answer.code, Some(0 | 1)), "{command:?}: {answer:#?}");
        assert!(!format!("{answer:?}").contains(CANARY), "{answer:#?}");
    }
}

/// What goes over each kind of connection, and why it did not.
async fn ways(store: &Store, url: &StoreUrl, version: u64) -> Vec<(&'static str, Option<String>)> {
    let config = match url {
        StoreUrl::Postgres(url) => url.config(),
        _ => unreachable!("the address is of PostgreSQL"),
    };
    let id: EventId = format!("0193a1d4-0000-7000-8000-{version:012}").parse().unwrap();
    let event = NewEvent::new(id, "noted", Payload::parse("{}".to_owned()).unwrap());
    let stream: StreamId = "thing/1".parse().unwrap();
    let request = AppendRequest::to(stream.clone(), ExpectedVersion::Any, vec![event]);
    fn why<T>(answer: Result<T, impl Error>) -> Option<String> {
        answer.err().map(|error| told(&error))
    }
    vec![
        ("following", why(store.events.read_log(&ReadLog::from_start()).await)),
        ("reading", why(store.events.read_stream(&ReadStream::new(stream)).await)),
        (
            "appending",
            match store.events.append(request).await {
                Err(AppendError::Store(error)) => Some(told(&error)),
                other => why(other),
            },
        ),
        ("projecting", why(store.models().unwrap().status(None).await)),
        ("registering", why(store.postings.data(PostingId(1)).await)),
        ("validating", why(validate_postgres(&config).await)),
        ("rebuilding", why(rebuild_in_database(&config).await)),
        ("migrating", why(postgres::migrate(&config).await)),
        ("opening", why(Store::open(url, Access::Existing).await)),
        ("locking", why(store.lock_run(WorkflowId(1)).await)),
    ]
}

/// Each connection is made anew by the rule by which it was made first.
#[test]
fn a_server_that_comes_back_with_another_certificate_is_judged_anew_by_every_connection() {
    let scene = Scene::migrated("host all all 127.0.0.1/32 trust");
    let (ours, others) = (Authority::new(), Authority::new());
    scene.server.restart_with(Some(&ours.server("localhost")), None);
    let ca = format!("sslmode=verify-full&sslrootcert={}", scene.file("ca.pem", &ours.pem()));
    let url: StoreUrl = scene.address("localhost", &ca).parse().unwrap();
    let runtime = &scene.database.runtime;
    let store = runtime.block_on(Store::open(&url, Access::Existing)).unwrap();

    let expect_well = |version| {
        let ways = runtime.block_on(ways(&store, &url, version));
        assert!(ways.iter().all(|(_, why)| why.is_none()), "{ways:#?}");
    };
    expect_well(1);
    let lock = runtime.block_on(store.lock_run(WorkflowId(2))).unwrap();
    let program = format!("turing {}", std::process::id());
    // a reader, a writer, a projector, the follower, the registry and the lock; the announcer comes
    // a moment after the first append
    let connections = runtime.block_on(async {
        loop {
            let connections = scene.connections(&program).await;
            if connections.len() >= 7 {
                return connections;
            }
            tokio::task::yield_now().await;
        }
    });
    assert!(connections.iter().all(|(_, is_encrypted)| *is_encrypted), "{connections:#?}");
    drop(lock);

    let strangers = [
        Some(others.server("localhost")),
        Some(ours.server("db.example")),
        Some(ours.expired("localhost")),
        None,
    ];
    for stranger in &strangers {
        scene.server.restart_with(stranger.as_ref(), None);
        let words = match stranger {
            Some(_) => "sslrootcert=FILE",
            None => "takes no encrypted connections",
        };
        // whoever notices a loss has the other connections tried before they are used
        let first = ReadStream::new("thing/1".parse().unwrap());
        runtime.block_on(store.events.read_stream(&first)).unwrap_err();
        for (way, why) in runtime.block_on(ways(&store, &url, 2)) {
            let why = why.unwrap_or_else(|| panic!("{way} believes another server"));
            assert!(why.contains(words) && !why.contains(CANARY), "{way}: {why}");
        }
    }
    scene.server.restart_with(Some(&ours.server("localhost")), None);
    expect_well(3);
    runtime.block_on(store.close());
}

#[test]
fn options_by_hand_verify_the_server_as_an_address_does() {
    let scene = Scene::migrated("host all all 127.0.0.1/32 trust");
    let options = PgConnectOptions::new_without_pgpass;
    let url = scene.server.port_url("127.1", "postgres", scene.database.test.name());
    let port = url.rsplit(':').next().unwrap().split('/').next().unwrap().parse().unwrap();
    let at = |host| {
        let name = scene.database.test.name();
        options().host(host).port(port).username("postgres").database(name)
    };
    let inspect = |config: PostgresConfig| {
        scene.database.runtime.block_on(postgres::inspect(&postgres::configured(config)))
    };
    let error = inspect(PostgresConfig::new(at("127.1"))).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Other);
    assert!(told(&error).contains("takes no encrypted connections"), "{error:?}");
    inspect(PostgresConfig::new(at("localhost"))).unwrap();
    inspect(PostgresConfig::new(at("127.1")).ssl_mode(PgSslMode::Prefer)).unwrap();
}
