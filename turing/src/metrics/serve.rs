//! The address where metrics are served: for programs of this machine, and for as long as a call lasts.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as Listener};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue};
use hyper::http::uri::Authority;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::Metrics;

/// How many connections there are at most; the oldest makes room for the next one.
pub(crate) const CONNECTIONS: usize = 64;

/// How long a connection lasts at most, from its beginning to the last byte of the answer.
const LONGEST: Duration = Duration::from_secs(10);

/// How long nobody is let in when somebody could not be: what is missing may be there again then.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// How much of a request is read before its body, in bytes.
const HEAD: usize = 8 * 1024;

/// What the text is, as Prometheus asks for it.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Why other addresses are refused.
const NOT_LOOPBACK: &str = "metrics are for programs of this machine, since whoever reaches them may \
                            read them; give a loopback address, such as 127.0.0.1:9464, and let a \
                            proxy that asks who it is serve other machines";

/// The address that `--metrics` names.
///
/// # Errors
///
/// When it is none, or can be reached from other machines; the text says what to give instead.
pub(crate) fn address(text: &str) -> Result<SocketAddr, &'static str> {
    let address = text.parse::<SocketAddr>().map_err(|_| {
        "it takes an address and a port, such as 127.0.0.1:9464, or port 0 for any that is free"
    })?;
    if !address.ip().is_loopback() {
        return Err(NOT_LOOPBACK);
    }
    Ok(address)
}

/// Metrics that are served until it is dropped.
#[derive(Debug)]
pub(crate) struct Serving {
    metrics: Metrics,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Serving {
    /// Serves metrics at an address. Must be called within a runtime.
    ///
    /// # Errors
    ///
    /// When it cannot be listened there, as where another program does.
    pub(crate) fn begin(address: SocketAddr, metrics: Metrics) -> io::Result<Self> {
        let listener = Listener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = TcpListener::from_std(listener)?;
        let task = tokio::spawn(serve(listener, metrics.clone()));
        Ok(Self { metrics, address, task })
    }

    /// What is served.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Where, with the port that the system chose, if it did.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves nobody any more.
    pub(crate) fn stop(&self) {
        self.task.abort();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn serve(listener: TcpListener, metrics: Metrics) {
    // they end with this task
    let mut connections = JoinSet::<()>::new();
    let mut oldest = VecDeque::<AbortHandle>::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(AFTER_FAILURE).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        oldest.retain(|connection| !connection.is_finished());
        while oldest.len() >= CONNECTIONS
            && let Some(connection) = oldest.pop_front()
        {
            connection.abort();
        }
        oldest.push_back(connections.spawn(converse(stream, metrics.clone())));
    }
}

/// Answers one request.
async fn converse(stream: TcpStream, metrics: Metrics) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (refused, metrics) = (refused(&request), metrics.clone());
        async move {
            Ok::<_, Infallible>(match refused {
                Some(refusal) => refusal,
                None => told(metrics.page().await),
            })
        }
    });
    // the whole connection has its time, whatever part of it takes long
    let mut server = http1::Builder::new();
    server.keep_alive(false).max_buf_size(HEAD).header_read_timeout(None::<Duration>);
    let connection = server.serve_connection(TokioIo::new(stream), service);
    // whoever asked and does not wait for the answer needs none
    let _ = timeout(LONGEST, connection).await;
}

/// Why a request gets no metrics, if it gets none.
fn refused(request: &Request<Incoming>) -> Option<Response<Full<Bytes>>> {
    if !is_for_this_machine(request) {
        return Some(refusal(
            StatusCode::FORBIDDEN,
            "metrics are served under the names of this machine alone: ask for them at localhost or \
             127.0.0.1\n",
        ));
    }
    if request.uri().path() != "/metrics" {
        return Some(refusal(StatusCode::NOT_FOUND, "the metrics are at /metrics\n"));
    }
    if request.method() != Method::GET {
        let mut refusal = refusal(StatusCode::METHOD_NOT_ALLOWED, "the metrics can be read only\n");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return Some(refusal);
    }
    None
}

fn told(page: String) -> Response<Full<Bytes>> {
    let mut told = Response::new(Full::<Bytes>::from(page));
    let headers = told.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(TEXT));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    told
}

fn refusal(status: StatusCode, why: &'static str) -> Response<Full<Bytes>> {
    let mut refusal = Response::new(Full::<Bytes>::from(why));
    *refusal.status_mut() = status;
    let headers = refusal.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    refusal
}

/// True if this machine is asked by a name that nobody else can give it: a page from elsewhere, whose
/// name was made to lead here, is told nothing.
fn is_for_this_machine<B>(request: &Request<B>) -> bool {
    let mut named = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (named.next(), named.next()) else { return false };
    let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
    host.is_some_and(|host| is_of_this_machine(&host))
        && request.uri().authority().is_none_or(is_of_this_machine)
}

fn is_of_this_machine(authority: &Authority) -> bool {
    let host = authority.host().trim_matches(['[', ']']);
    let is_loopback = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    (is_loopback || host.eq_ignore_ascii_case("localhost")) && !authority.as_str().contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_served() {
        for text in ["127.0.0.1:9464", "127.0.0.1:0", "127.1.2.3:80", "[::1]:9464"] {
            assert_eq!(address(text).unwrap().to_string(), text);
        }
        for text in ["0.0.0.0:9464", "[::]:9464", "10.0.0.1:9464", "[::ffff:127.0.0.1]:9464"] {
            assert!(address(text).unwrap_err().contains("give a loopback address"), "{text}");
        }
        for text in ["", "9464", ":9464", "127.0.0.1", "localhost:9464", "127.0.0.1:99999"] {
            assert!(address(text).unwrap_err().contains("such as 127.0.0.1:9464"), "{text}");
        }
    }

    #[test]
    fn names_of_elsewhere_are_told_nothing() {
        let is_told = |uri: &str, hosts: &[&str]| {
            let mut request = Request::new(());
            *request.uri_mut() = uri.parse().unwrap();
            for host in hosts {
                request.headers_mut().append(HOST, HeaderValue::from_str(host).unwrap());
            }
            is_for_this_machine(&request)
        };
        for host in ["127.0.0.1:9464", "localhost", "LOCALHOST:1", "[::1]:9464", "127.0.0.2"] {
            assert!(is_told("/metrics", &[host]), "{host}");
        }
        for host in
            ["", "example.org", "127.0.0.1.example.org:9464", "10.0.0.1", "a@localhost", "a b"]
        {
            assert!(!is_told("/metrics", &[host]), "{host}");
        }
        assert!(!is_told("/metrics", &[]));
        assert!(!is_told("/metrics", &["localhost", "localhost"]));
        assert!(is_told("http://localhost/metrics", &["localhost"]));
        assert!(!is_told("http://example.org/metrics", &["localhost"]));
    }
}
