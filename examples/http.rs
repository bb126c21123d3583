//! Orders over HTTP, with axum: `cargo run -p es-examples --example http`, and then
//!
//! ```text
//! curl -i localhost:3000/orders/o-1 --json '{"customer":"anna","sku":"bread","count":2,"cents":700}'
//! curl -i localhost:3000/orders/o-1/payments --json '{"cents":700}' \
//!     -H 'if-match: "1"' -H 'idempotency-key: p-17'
//! curl -i localhost:3000/orders/o-1
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::fmt::Display;

use axum::extract::{Path, State};
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use es_core::ExpectedVersion::NoStream;
use es_core::{CommandError, Repository};
use es_examples::{Order, OrderId, Refusal};
use es_memory::MemoryStore;
use serde::Deserialize;
use tokio::net::TcpListener;

async fn pay(
    State(orders): State<Repository<Order>>,
    Path(id): Path<OrderId>,
    headers: HeaderMap,
    Json(body): Json<Payment>,
) -> Result<impl IntoResponse, Problem> {
    let order = orders.by_id(&id).if_match(headers.get(IF_MATCH));
    let decision = order.decide(|order| order.pay(body.cents));
    let paid = decision.client_key("pay", headers.get("idempotency-key")).await?;
    Ok(([(ETAG, paid.version.etag())], Json(paid.state)))
}

struct Problem(StatusCode, String);

impl<R: Display> From<CommandError<R>> for Problem {
    fn from(error: CommandError<R>) -> Self {
        let status = StatusCode::from_u16(error.kind().http_status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status.is_server_error() {
            tracing::error!(%error, "a command was not carried out");
            return Self(status, "try again later".to_owned());
        }
        Self(status, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

#[derive(Deserialize)]
struct Payment {
    cents: u32,
}

#[derive(Deserialize)]
struct NewOrder {
    customer: String,
    sku: String,
    count: u32,
    cents: u32,
}

async fn place(
    State(orders): State<Repository<Order>>,
    Path(id): Path<OrderId>,
    headers: HeaderMap,
    Json(NewOrder { customer, sku, count, cents }): Json<NewOrder>,
) -> Result<impl IntoResponse, Problem> {
    let order = orders.by_id(&id).expecting(NoStream);
    let decision = order.decide(|order| order.place(&customer, &sku, count, cents));
    let placed = decision.client_key("place", headers.get("idempotency-key")).await?;
    Ok((StatusCode::CREATED, [(ETAG, placed.version.etag())], Json(placed.state)))
}

async fn show(
    State(orders): State<Repository<Order>>,
    Path(id): Path<OrderId>,
) -> Result<impl IntoResponse, Problem> {
    let order = orders.load(&id).await.map_err(CommandError::<Refusal>::from)?;
    if order.existing().is_none() {
        return Err(Problem(StatusCode::NOT_FOUND, format!("{} does not exist", order.stream)));
    }
    Ok(([(ETAG, order.version.etag())], Json(order.state)))
}

fn router(orders: Repository<Order>) -> Router {
    Router::new()
        .route("/orders/{id}", post(place).get(show))
        .route("/orders/{id}/payments", post(pay))
        .with_state(orders)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!("orders are taken at http://{}", listener.local_addr()?);
    axum::serve(listener, router(Repository::new(MemoryStore::new()))).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use axum::http::header::CONTENT_TYPE;
    use es_core::execution::StoreErrorKind;
    use es_testing::fault::{Call, Faults};
    use tower::ServiceExt;

    use super::*;

    /// What is answered: the status, the tag, the text.
    #[derive(Debug, PartialEq)]
    struct Answer(u16, Option<String>, String);

    async fn ask(shop: &Router, request: Request<Body>) -> Answer {
        let response = shop.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let tag = response.headers().get(ETAG).map(|tag| tag.to_str().unwrap().to_owned());
        let body = to_bytes(response.into_body(), 10_000).await.unwrap();
        Answer(status, tag, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn asked_to(shop: &Router, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let request = Request::post(path).header(CONTENT_TYPE, "application/json");
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        ask(shop, request.body(Body::from(body.to_owned())).unwrap()).await
    }

    async fn asked_to_place(shop: &Router, headers: &[(&str, &str)]) -> Answer {
        let order = r#"{"customer":"anna","sku":"bread","count":2,"cents":700}"#;
        asked_to(shop, "/orders/o-1", headers, order).await
    }

    async fn asked_to_pay(shop: &Router, headers: &[(&str, &str)], cents: u32) -> Answer {
        let body = format!(r#"{{"cents":{cents}}}"#);
        asked_to(shop, "/orders/o-1/payments", headers, &body).await
    }

    fn open(due: u32) -> String {
        format!(r#"{{"status":"open","sku":"bread","due":{due},"is_confirmed":false}}"#)
    }

    fn answer(status: u16, version: u64, text: String) -> Answer {
        Answer(status, Some(format!("\"{version}\"")), text)
    }

    fn refused(status: u16, text: &str) -> Answer {
        Answer(status, None, text.to_owned())
    }

    fn shop() -> Router {
        router(Repository::new(MemoryStore::new()))
    }

    #[tokio::test]
    async fn an_order_is_placed_once_and_shown_with_its_tag() {
        let shop = shop();
        let show = || Request::get("/orders/o-1").body(Body::empty()).unwrap();
        assert_eq!(ask(&shop, show()).await, refused(404, "order/o-1 does not exist"));
        assert_eq!(asked_to_place(&shop, &[]).await, answer(201, 1, open(700)));
        assert_eq!(ask(&shop, show()).await, answer(200, 1, open(700)));
        let again = refused(409, "order/o-1 exists already, at version 1");
        assert_eq!(asked_to_place(&shop, &[]).await, again);
    }

    #[tokio::test]
    async fn who_has_seen_an_older_version_pays_nothing() {
        let shop = shop();
        // without a tag the order must exist
        let absent = refused(404, "order/o-1 does not exist");
        assert_eq!(asked_to_pay(&shop, &[], 700).await, absent);
        asked_to_place(&shop, &[]).await;
        let first = [("if-match", "\"1\"")];
        assert_eq!(asked_to_pay(&shop, &first, 300).await, answer(200, 2, open(400)));
        let stale = "order/o-1 is at version 2, not at 1 any more; look at it again";
        assert_eq!(asked_to_pay(&shop, &first, 400).await, refused(412, stale));
        assert_eq!(asked_to_pay(&shop, &[], 400).await, answer(200, 3, open(0)));
        let Answer(status, ..) = asked_to_pay(&shop, &[("if-match", "3")], 1).await;
        assert_eq!(status, 400, "a tag has its quotes");
    }

    #[tokio::test]
    async fn what_is_sent_again_is_done_once() {
        let shop = shop();
        // one key, and each command has it for itself
        let key = ("idempotency-key", "p-17");
        for _ in 0..2 {
            assert_eq!(asked_to_place(&shop, &[key]).await, answer(201, 1, open(700)));
        }
        for _ in 0..2 {
            let headers = [("if-match", "\"1\""), key];
            assert_eq!(asked_to_pay(&shop, &headers, 300).await, answer(200, 2, open(400)));
        }
    }

    #[tokio::test]
    async fn a_refusal_is_told_and_a_failure_is_not() {
        let faults = Faults::new();
        let shop = router(Repository::new(faults.over(MemoryStore::new())));
        asked_to_place(&shop, &[]).await;
        let refusal = refused(422, "no more than 700 cents are due");
        assert_eq!(asked_to_pay(&shop, &[], 701).await, refusal);
        faults.fail_each(Call::Append, Some(StoreErrorKind::Full));
        assert_eq!(asked_to_pay(&shop, &[], 700).await, refused(507, "try again later"));
    }
}
