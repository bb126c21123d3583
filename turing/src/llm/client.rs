//! How requests travel: pooled connections, HTTP/1.1, no redirects, no proxies.

use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT,
};
use hyper::http::Extensions;
use hyper::{HeaderMap, Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{Connect, HttpConnector, HttpInfo};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout};

use super::endpoint::{Address, EndpointError};
use super::failure::CallError;
use super::secret::Secret;

/// Shorter than the five seconds after which common servers close an idle connection.
const IDLE_LIMIT: Duration = Duration::from_secs(4);
/// A model may think for minutes without a byte; probes tell it from a peer that is gone.
const PROBE_INTERVAL: Duration = Duration::from_secs(30);

/// A document, or the pieces of one.
const ACCEPTED: &str = "application/json, application/x-ndjson, text/event-stream";

/// What a response may hold beside its text, such as Ollama's number for each token of the context.
const EXTRA_BYTES: usize = 2 * 1024 * 1024;
/// The longest way to write one byte of text in JSON.
const ESCAPED_BYTES: usize = "\\u0000".len();

/// Keeps connections to language models open between calls; one serves a whole run.
#[derive(Debug, Default)]
pub struct LlmClient {
    plain: Pools<HttpConnector>,
    secure: Pools<HttpsConnector<HttpConnector>>,
    /// The addresses that do not know how to count the tokens of a stream.
    uncounted: Mutex<HashSet<String>>,
}

/// The connections of each time that connecting may take.
type Pools<C> = Mutex<BTreeMap<Duration, Arc<Pool<C>>>>;

/// A request that meets the end of an idle connection is lost within so long. One that is lost later may
/// have been worked on, and be paid for.
const MEETING: Duration = Duration::from_secs(1);
/// Of so many connections it is kept in mind that they have answered.
const ANSWERED: usize = 1024;

/// Connections of one kind.
#[derive(Debug)]
struct Pool<C> {
    kept: Client<C, Full<Bytes>>,
    /// Opens a connection for each request.
    fresh: Client<C, Full<Bytes>>,
    /// The kept connections that have answered, by their addresses on this side and on the other.
    answered: Mutex<HashSet<[SocketAddr; 2]>>,
}

impl LlmClient {
    /// Opens nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends a request and waits for the beginning of the response.
    pub(super) async fn post(
        &self,
        address: &Address,
        body: Vec<u8>,
        key: Option<&Secret>,
        connect: Duration,
    ) -> Result<Response<Incoming>, CallError> {
        let mut request = Request::post(address.uri().clone())
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, ACCEPTED)
            // without it any coding may come
            .header(ACCEPT_ENCODING, "identity")
            .header(USER_AGENT, concat!("turing/", env!("CARGO_PKG_VERSION")));
        if let Some(key) = key.filter(|key| !key.is_empty()) {
            let header = key.to_header().map_err(|_| CallError::KeyUnusable)?;
            request = request.header(AUTHORIZATION, header);
        }
        let request =
            request.body(Full::from(body)).expect("every part of the request was checked before");
        let sent = match address.is_secure() {
            true => self.secure(address, connect)?.send(request).await,
            false => self.plain(connect).send(request).await,
        };
        sent.map_err(|error| CallError::sending(error, connect))
    }

    /// Whether the address is known to refuse a request that asks for the tokens of a stream.
    pub(super) fn is_uncounted(&self, address: &Address) -> bool {
        locked(&self.uncounted).contains(&address.to_string())
    }

    /// Keeps in mind that it does.
    pub(super) fn leave_uncounted(&self, address: &Address) {
        locked(&self.uncounted).insert(address.to_string());
    }

    fn plain(&self, connect: Duration) -> Arc<Pool<HttpConnector>> {
        let mut pools = locked(&self.plain);
        pools.entry(connect).or_insert_with(|| Arc::new(Pool::new(connector(connect)))).clone()
    }

    fn secure(
        &self,
        address: &Address,
        connect: Duration,
    ) -> Result<Arc<Pool<HttpsConnector<HttpConnector>>>, EndpointError> {
        if let Some(pool) = locked(&self.secure).get(&connect) {
            return Ok(pool.clone());
        }
        let connector = secure_connector(connect).map_err(|source| {
            EndpointError::NoCertificates { endpoint: address.to_string(), source }
        })?;
        let mut pools = locked(&self.secure);
        Ok(pools.entry(connect).or_insert_with(|| Arc::new(Pool::new(connector))).clone())
    }
}

/// What is behind a lock; whoever panicked with it has left nothing half done.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<C: Connect + Clone + Send + Sync + 'static> Pool<C> {
    fn new(connector: C) -> Self {
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE_LIMIT);
        let kept = builder.build(connector.clone());
        let fresh = builder.pool_max_idle_per_host(0).build(connector);
        Self { kept, fresh, answered: Mutex::default() }
    }

    /// Sends a request; once more on a connection of its own if it met one that the endpoint had
    /// closed after an answer, or closed just then, without a word.
    async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, legacy::Error> {
        let (again, sent) = (request.clone(), Instant::now());
        match self.kept.request(request).await {
            Ok(response) => {
                self.remember(&response);
                Ok(response)
            }
            Err(error) if self.was_reused(&error) && sent.elapsed() < MEETING => {
                self.fresh.request(again).await
            }
            Err(error) => Err(error),
        }
    }

    fn answered(&self) -> MutexGuard<'_, HashSet<[SocketAddr; 2]>> {
        locked(&self.answered)
    }

    fn remember(&self, response: &Response<Incoming>) {
        let Some(connection) = response.extensions().get::<HttpInfo>() else { return };
        let mut answered = self.answered();
        if answered.len() >= ANSWERED {
            answered.clear();
        }
        answered.insert(ends(connection));
    }

    /// True if the request was lost, before an answer began, on a connection that had answered
    /// another one.
    fn was_reused(&self, error: &legacy::Error) -> bool {
        let cause = error.source().and_then(|cause| cause.downcast_ref::<hyper::Error>());
        let is_lost = cause.is_some_and(|cause| {
            let is_of_system = cause.source().is_some_and(|system| system.is::<io::Error>());
            cause.is_incomplete_message() || is_of_system
        });
        let Some(connected) = error.connect_info().filter(|_| is_lost) else { return false };
        let mut extras = Extensions::new();
        connected.get_extras(&mut extras);
        let connection = extras.get::<HttpInfo>();
        connection.is_some_and(|connection| self.answered().remove(&ends(connection)))
    }
}

fn ends(connection: &HttpInfo) -> [SocketAddr; 2] {
    [connection.local_addr(), connection.remote_addr()]
}

fn connector(connect: Duration) -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(connect));
    connector.set_keepalive(Some(PROBE_INTERVAL));
    connector.set_keepalive_interval(Some(PROBE_INTERVAL));
    connector
}

/// Trusts the certificates of the system, or those that SSL_CERT_FILE and SSL_CERT_DIR name.
pub(super) fn secure_connector(connect: Duration) -> io::Result<HttpsConnector<HttpConnector>> {
    let builder = HttpsConnectorBuilder::new().with_native_roots()?;
    Ok(builder.https_only().enable_http1().wrap_connector(connector(connect)))
}

/// How a body is coded, by its header; no coding was asked for. Some servers name a charset there,
/// so only a body that is no text is in a coding.
pub(super) fn content_coding(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(CONTENT_ENCODING).iter();
    let texts: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    let codings = texts.iter().flat_map(|text| text.split(',')).map(str::trim);
    let codings: Vec<_> = codings
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
        .collect();
    (!codings.is_empty()).then(|| codings.join(", "))
}

/// The most that the body of an answer with so much text can have.
pub(super) fn body_limit(output_bytes: usize) -> usize {
    output_bytes.saturating_mul(ESCAPED_BYTES).saturating_add(EXTRA_BYTES)
}

/// Reads a body that is no larger than an answer with so much text can be.
pub(super) async fn read_whole(body: Incoming, output_bytes: usize) -> Result<Vec<u8>, CallError> {
    let limit = body_limit(output_bytes);
    match read_up_to(body, limit).await {
        (_, Some(error)) => Err(CallError::reading(error)),
        (bytes, None) if bytes.len() > limit => Err(CallError::BodyLimit(limit)),
        (bytes, None) => Ok(bytes),
    }
}

/// Reads until the end, an error, or past the limit, and keeps what was read.
pub(super) async fn read_up_to(body: Incoming, limit: usize) -> (Vec<u8>, Option<hyper::Error>) {
    let mut bytes = Vec::new();
    let error = read_into(&mut bytes, body, limit).await.err();
    (bytes, error)
}

/// The same, and no longer than so long; what was read until an error or then is all there is.
pub(super) async fn read_for(body: Incoming, limit: usize, time: Duration) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = timeout(time, read_into(&mut bytes, body, limit)).await;
    bytes
}

async fn read_into(
    bytes: &mut Vec<u8>,
    mut body: Incoming,
    limit: usize,
) -> Result<(), hyper::Error> {
    while let Some(frame) = body.frame().await {
        bytes.extend_from_slice(frame?.data_ref().map_or(&[][..], |data| data));
        if bytes.len() > limit {
            break;
        }
    }
    Ok(())
}
