//! The parts in one program: a store, a table and a reaction that are kept up to date beside the
//! server, HTTP, and an end in order:
//! `cargo run -p es-examples --example service [PATH | postgres://..]`, and then
//!
//! ```text
//! curl -i localhost:3000/orders/o-1 --json '{"customer":"anna","sku":"bread","count":2,"cents":700}'
//! curl -i localhost:3000/orders/o-1
//! curl -i localhost:3000/health
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::fmt::Display;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::header::ETAG;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use es_core::ExpectedVersion::NoStream;
use es_core::projection::{Changes, RunnerHandle, SinkError, Table, TableRow};
use es_core::reaction::{Delivery, Start};
use es_core::{
    BoxError, CommandError, Envelope, ErrorKind, Reaction, Repository, Runner, Store,
    TableProjection,
};
use es_examples::OrderEvent::{self, *};
use es_examples::{Order, OrderId};
use es_postgres::{Migrations, PostgresConfig, PostgresStore};
use es_sqlite::SqliteStore;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// An order that is open, as a row.
#[derive(TableRow, Debug, PartialEq, Serialize)]
#[table(name = "open_orders")]
struct OpenOrder {
    #[table(key)]
    id: OrderId,
    customer: String,
    is_confirmed: bool,
}

impl TableProjection for OpenOrder {
    type Event = OrderEvent;
    type Tables = Self;
    fn project(event: &Envelope<OrderEvent>, rows: &mut Changes) -> Result<(), BoxError> {
        let id = event.aggregate_id::<Order>()?;
        match &event.data {
            OrderPlaced { customer, .. } => {
                rows.upsert(Self { id, customer: customer.clone(), is_confirmed: false })
            }
            OrderConfirmed => rows.update::<Self>(id, "is_confirmed = $1", true),
            OrderRefused { .. } | OrderShipped | OrderCancelled { .. } => rows.delete::<Self>(id),
            OrderPaid { .. } => {}
        }
        Ok(())
    }
}

/// Confirms what is placed: this shop has enough of everything.
struct Confirmation(Repository<Order>);

impl Reaction for Confirmation {
    const NAME: &'static str = "confirmation";
    // an order that was placed before the first run is confirmed as well
    const START: Start = Start::Beginning;
    type Event = OrderEvent;

    async fn react(&self, event: &Delivery<OrderEvent>) -> Result<(), BoxError> {
        if matches!(event.data, OrderPlaced { .. }) {
            let order = self.0.by_id(&event.aggregate_id::<Order>()?);
            order.decide(Order::confirm).reacting_to(event).await?;
        }
        Ok(())
    }
}

/// All that follows the log.
fn runner(store: &Store) -> Runner {
    Runner::new(store).table::<OpenOrder>().reaction(Confirmation(Repository::new(store)))
}

/// What requests are answered with.
#[derive(Clone)]
struct Shop {
    orders: Repository<Order>,
    store: Store,
    runner: RunnerHandle,
}

impl Shop {
    fn open_orders(&self) -> Table<OpenOrder> {
        Table::new(&self.store)
    }
}

#[derive(Deserialize)]
struct NewOrder {
    customer: String,
    sku: String,
    count: u32,
    cents: u32,
}

async fn place(
    State(shop): State<Shop>,
    Path(id): Path<OrderId>,
    headers: HeaderMap,
    Json(NewOrder { customer, sku, count, cents }): Json<NewOrder>,
) -> Result<impl IntoResponse, Problem> {
    let order = shop.orders.by_id(&id).expecting(NoStream);
    let decision = order.decide(|order| order.place(&customer, &sku, count, cents));
    let placed = decision.client_key("place", headers.get("idempotency-key")).await?;
    // whoever looks next finds it; that the table is late is no failure of the command
    let open = shop.open_orders();
    if let Err(error) = open.wait_for(placed.position(), Duration::from_secs(10)).await {
        tracing::warn!(%error, "the open orders are late");
    }
    Ok((StatusCode::CREATED, [(ETAG, placed.version.etag())], Json(placed.state)))
}

async fn show(
    State(shop): State<Shop>,
    Path(id): Path<OrderId>,
) -> Result<Json<OpenOrder>, Problem> {
    let order = shop.open_orders().get(id).await?;
    order.map(Json).ok_or_else(|| Problem(StatusCode::NOT_FOUND, "no such order".to_owned()))
}

async fn health(State(shop): State<Shop>) -> Result<String, Problem> {
    let health = shop.runner.health().await?;
    let lines = health.iter().map(|it| format!("{}: {}\n", it.projection, it.state));
    Ok(lines.collect())
}

struct Problem(StatusCode, String);

impl Problem {
    fn new(kind: ErrorKind, error: impl Display) -> Self {
        let status = StatusCode::from_u16(kind.http_status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status.is_server_error() {
            tracing::error!(%error, "a request was not answered");
            return Self(status, "try again later".to_owned());
        }
        Self(status, error.to_string())
    }
}

impl<R: Display> From<CommandError<R>> for Problem {
    fn from(error: CommandError<R>) -> Self {
        Self::new(error.kind(), error)
    }
}

impl From<SinkError> for Problem {
    fn from(error: SinkError) -> Self {
        match error {
            // no runner has taken the projection yet, so there is no table
            SinkError::NoModel { .. } => Self::new(ErrorKind::Unavailable, error),
            _ => Self::new(error.kind(), error),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

/// Serves the shop until `end`, and ends in order: the server first, so that nothing new comes in, then
/// the runner, which gives its leases back. The store is then the caller's to close.
async fn serve(
    store: &Store,
    listener: TcpListener,
    end: impl Future<Output = ()> + Send + 'static,
) -> Result<(), BoxError> {
    let runner = runner(store);
    let handle = runner.handle();
    let (ending, has_ended) = oneshot::channel::<()>();
    let running = tokio::spawn(async move {
        // dropped however the runner ends
        let _ending = ending;
        runner.run().await
    });
    let end = async move {
        tokio::select! {
            () = end => {}
            // all that it runs has stopped: whoever starts this program is to know
            _ = has_ended => {}
        }
    };

    let orders = Repository::<Order>::new(store).snapshot_every(100).with_cache(1_000);
    let shop = Shop { orders: orders.clone(), store: store.clone(), runner: handle.clone() };
    let routes = Router::new()
        .route("/orders/{id}", post(place).get(show))
        .route("/health", get(health))
        .with_state(shop);
    axum::serve(listener, routes).with_graceful_shutdown(end).await?;

    handle.stop();
    running.await??;
    orders.flush_snapshots().await;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "shop.db".to_owned());
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!("orders are taken at http://{}", listener.local_addr()?);
    let end = async {
        // in a container it is SIGTERM that asks for the end
        let _ = tokio::signal::ctrl_c().await;
    };
    if address.starts_with("postgres://") {
        let config: PostgresConfig = address.parse()?;
        Migrations::of_store(config.names()).apply(&config).await?;
        let postgres = PostgresStore::open(config).await?;
        let served = serve(&Store::from(postgres.clone()), listener, end).await;
        postgres.close().await;
        served
    } else {
        let sqlite = SqliteStore::open(address).await?;
        let served = serve(&Store::from(sqlite.clone()), listener, end).await;
        sqlite.close().await;
        served
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read, Write};
    use std::net::{SocketAddr, TcpStream};

    use es_pgtest::Server;

    use super::*;

    /// Asks over the wire; answers all that is sent back.
    async fn ask(address: SocketAddr, request: &str, body: &str) -> String {
        let length = body.len();
        let request = format!(
            "{request} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\nidempotency-key: k-1\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        let answer = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(address)?;
            stream.write_all(request.as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok::<_, io::Error>(answer)
        });
        answer.await.unwrap().unwrap()
    }

    async fn an_order_is_taken_confirmed_and_shown(store: &Store) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (end, has_come) = oneshot::channel::<()>();
        let served = serve(store, listener, async move {
            let _ = has_come.await;
        });
        let asked = async move {
            let order = r#"{"customer":"anna","sku":"bread","count":2,"cents":700}"#;
            // the second is a repeat
            for _ in 0..2 {
                let placed = ask(address, "POST /orders/o-1", order).await;
                assert!(placed.starts_with("HTTP/1.1 201 "), "{placed}");
            }
            let shown = ask(address, "GET /orders/o-1", "").await;
            assert!(shown.contains(r#"{"id":"o-1","customer":"anna","#), "{shown}");
            let health = ask(address, "GET /health", "").await;
            assert!(health.contains("confirmation: ") && health.contains("open_orders: "));
            end.send(()).unwrap();
        };
        let (served, ()) = tokio::join!(served, asked);
        served.unwrap();

        // the leases were given back: another runner does the rest at once, and none of it twice
        runner(store).once().await.unwrap();
        let row = OpenOrder { id: "o-1".into(), customer: "anna".to_owned(), is_confirmed: true };
        let found = Table::<OpenOrder>::new(store).get("o-1").await.unwrap();
        assert_eq!(found, Some(row));
        let order = Repository::<Order>::new(store).load("o-1").await.unwrap();
        assert_eq!(order.version.as_u64(), 2);
    }

    #[tokio::test]
    async fn on_sqlite() {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = SqliteStore::open(folder.path().join("shop.db")).await.unwrap();
        an_order_is_taken_confirmed_and_shown(&Store::from(sqlite.clone())).await;
        sqlite.close().await;
    }

    #[tokio::test]
    async fn on_postgresql() {
        let server = tokio::task::spawn_blocking(Server::shared).await.unwrap();
        let database = server.database().await;
        let config = PostgresConfig::new(database.options());
        Migrations::of_store(config.names()).apply(&config).await.unwrap();
        let postgres = PostgresStore::open(config).await.unwrap();
        an_order_is_taken_confirmed_and_shown(&Store::from(postgres.clone())).await;
        postgres.close().await;
    }
}
