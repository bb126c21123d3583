//! A server that tells what it was asked and replies what it was told, and calls of it.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
pub(crate) use turing::llm::{
    EndpointError, LlmCall, LlmClient, LlmLimits, LlmOutcome, Secret, api_key, call_llm,
    check_endpoint,
};
pub(crate) use turing_domain::{FailureType, JsonSchema, Llm, LlmProtocol, LlmUsage, Reasoning};

/// Far longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const PROTOCOLS: [LlmProtocol; 3] =
    [LlmProtocol::OllamaGenerate, LlmProtocol::OllamaChat, LlmProtocol::OpenaiChat];

/// What the server does with every request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Writes these bytes and waits for the next request.
    Whole(Vec<u8>),
    /// Writes what the model is asked, as the body of a good response.
    Echo,
    /// Writes these bytes and closes the connection.
    Part(Vec<u8>),
    /// Writes these bytes, and closes the connection when it is asked once more.
    Once(Vec<u8>),
    /// The same, but closes it two seconds later by tokio's clock, which jumps.
    OnceLate(Vec<u8>),
    /// Resets the connection.
    Reset,
    /// Writes these bytes, then the same letter until the client is gone.
    Endless(Vec<u8>),
    /// Writes the first bytes, then the others until the client is gone.
    Repeated(Vec<u8>, Vec<u8>),
    /// Writes these bytes for the first request, those for the second, and the last for all others.
    Turns(Vec<Vec<u8>>, Arc<AtomicUsize>),
    /// Writes these bytes and no more until the client is gone.
    Silence(Vec<u8>),
}

impl Reply {
    pub(crate) fn status(status: &str, headers: &[&str], body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut bytes = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
        headers.iter().for_each(|header| bytes += &format!("{header}\r\n"));
        let mut bytes = (bytes + "\r\n").into_bytes();
        bytes.extend_from_slice(body);
        Self::Whole(bytes)
    }

    /// A good response that says to be a stream, with these bytes in it.
    pub(crate) fn stream(kind: &str, body: impl AsRef<[u8]>) -> Self {
        Self::status("200 OK", &[&format!("content-type: {kind}")], body)
    }

    /// One whole reply after the other.
    pub(crate) fn turns(replies: impl IntoIterator<Item = Self>) -> Self {
        let bytes = replies.into_iter().map(|reply| match reply {
            Self::Whole(bytes) => bytes,
            other => panic!("{other:?} is not whole"),
        });
        Self::Turns(bytes.collect(), Arc::default())
    }

    pub(crate) fn body(body: impl AsRef<[u8]>) -> Self {
        Self::status("200 OK", &["content-type: application/json"], body)
    }

    /// The least that is an answer with this text.
    pub(crate) fn text(protocol: LlmProtocol, text: &str) -> Self {
        Self::body(answer(protocol, json!(text)).to_string())
    }
}

/// The least that is an answer, with anything in the place of the text.
pub(crate) fn answer(protocol: LlmProtocol, text: Value) -> Value {
    match protocol {
        LlmProtocol::OllamaGenerate => json!({"response": text, "done": true}),
        LlmProtocol::OllamaChat => json!({"message": {"content": text}, "done": true}),
        LlmProtocol::OpenaiChat => json!({"choices": [{"message": {"content": text}}]}),
    }
}

/// A request as it arrived; header names are in lower case.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) connection: usize,
    pub(crate) line: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Value,
}

impl Request {
    /// What the model is asked.
    fn input(&self) -> &str {
        let input = self.body.pointer("/messages/0/content").or(self.body.pointer("/prompt"));
        input.unwrap().as_str().unwrap()
    }
}

enum Event {
    Asked(Request),
    /// The client closed a connection, after so many bytes were written to it.
    Gone(usize),
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    scheme: &'static str,
    events: UnboundedReceiver<Event>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(crate) async fn start(reply: Reply) -> Self {
        Self::listen(reply, None).await
    }

    pub(crate) async fn start_secure(reply: Reply, acceptor: TlsAcceptor) -> Self {
        Self::listen(reply, Some(acceptor)).await
    }

    async fn listen(reply: Reply, acceptor: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let (events, received) = unbounded_channel();
        let reply = Arc::new(reply);
        let task = tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (events, reply) = (events.clone(), reply.clone());
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    match acceptor {
                        None if matches!(*reply, Reply::Reset) => reset(stream, events).await,
                        None => Box::pin(serve(stream, connection, &reply, events)).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                Box::pin(serve(stream, connection, &reply, events)).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, scheme, events: received, task }
    }

    pub(crate) fn actor(&self, protocol: LlmProtocol) -> Llm {
        actor(&format!("{}://{}", self.scheme, self.address), protocol)
    }

    pub(crate) fn call(&self, protocol: LlmProtocol) -> LlmCall {
        call(self.actor(protocol))
    }

    async fn event(&mut self) -> Event {
        tokio::time::timeout(PATIENCE, self.events.recv()).await.unwrap().unwrap()
    }

    pub(crate) async fn request(&mut self) -> Request {
        match self.event().await {
            Event::Asked(request) => request,
            Event::Gone(_) => panic!("the client is gone"),
        }
    }

    /// The connection of the next request, whatever ended before it.
    pub(crate) async fn connection(&mut self) -> usize {
        loop {
            if let Event::Asked(request) = self.event().await {
                return request.connection;
            }
        }
    }

    /// Waits for the end of a connection and says how many bytes were written to it.
    pub(crate) async fn gone(&mut self) -> usize {
        loop {
            if let Event::Gone(written) = self.event().await {
                return written;
            }
        }
    }

    /// How many requests arrived that nobody has looked at.
    pub(crate) fn requests_left(&mut self) -> usize {
        std::iter::from_fn(|| self.events.try_recv().ok())
            .filter(|event| matches!(event, Event::Asked(_)))
            .count()
    }
}

/// One reply to one request and the end: nothing else of the reply may reach the client.
async fn reset(mut stream: TcpStream, events: UnboundedSender<Event>) {
    let request = read_request(&mut stream, 0).await;
    stream.set_zero_linger().unwrap();
    request.into_iter().for_each(|request| drop(events.send(Event::Asked(request))));
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    connection: usize,
    reply: &Reply,
    events: UnboundedSender<Event>,
) {
    let mut answered = 0;
    while let Some(request) = read_request(&mut stream, connection).await {
        let echo = matches!(reply, Reply::Echo).then(|| Reply::body(request.input()));
        let _ = events.send(Event::Asked(request));
        match echo.as_ref().unwrap_or(reply) {
            Reply::Once(_) if answered > 0 => break,
            Reply::OnceLate(_) if answered > 0 => {
                tokio::time::pause();
                tokio::time::advance(Duration::from_secs(2)).await;
                tokio::time::resume();
                break;
            }
            Reply::Whole(bytes) | Reply::Once(bytes) | Reply::OnceLate(bytes) => {
                answered += 1;
                if stream.write_all(bytes).await.is_err() {
                    break;
                }
            }
            Reply::Part(bytes) => {
                stream.write_all(bytes).await.unwrap();
                stream.shutdown().await.unwrap();
                return;
            }
            Reply::Silence(bytes) => stream.write_all(bytes).await.unwrap(),
            Reply::Turns(turns, next) => {
                let turn = next.fetch_add(1, Ordering::Relaxed).min(turns.len() - 1);
                if stream.write_all(&turns[turn]).await.is_err() {
                    break;
                }
            }
            Reply::Repeated(bytes, piece) => {
                stream.write_all(bytes).await.unwrap();
                let chunk = piece.repeat((64 * 1024_usize).div_ceil(piece.len()));
                let mut written = bytes.len();
                while stream.write_all(&chunk).await.is_ok() {
                    written += chunk.len();
                }
                let _ = events.send(Event::Gone(written));
                return;
            }
            Reply::Endless(bytes) => {
                stream.write_all(bytes).await.unwrap();
                let chunk = [b'a'; 64 * 1024];
                let mut written = bytes.len();
                while let Ok(count) = stream.write(&chunk).await {
                    written += count;
                }
                let _ = events.send(Event::Gone(written));
                return;
            }
            Reply::Reset => unreachable!("it has no stream to serve"),
            Reply::Echo => unreachable!("it was made a whole reply"),
        }
    }
    let _ = events.send(Event::Gone(0));
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin), connection: usize) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let line = lines.next().unwrap().to_owned();
    let headers: BTreeMap<_, _> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request { connection, line, headers, body: serde_json::from_slice(&body).unwrap() })
}

pub(crate) fn actor(endpoint: &str, protocol: LlmProtocol) -> Llm {
    Llm {
        model: "gemma3:1b".into(),
        endpoint: endpoint.into(),
        protocol,
        system: None,
        temperature: None,
        seed: None,
        max_tokens: None,
        max_completion_tokens: None,
        api_key_env: None,
        stream: true,
        structured: false,
        reasoning: Reasoning::Drop,
        connect_limit: None,
        first_token_limit: None,
        between_tokens_limit: None,
    }
}

pub(crate) fn call(actor: Llm) -> LlmCall {
    let limits = LlmLimits { time: PATIENCE, ..LlmLimits::default() };
    let input = "Summarize this.".into();
    LlmCall { actor, input, api_key: None, limits, schema: None, repairs: 0 }
}

/// What one call of a server with this reply comes to.
pub(crate) async fn outcome(protocol: LlmProtocol, reply: Reply) -> LlmOutcome {
    let server = Server::start(reply).await;
    call_llm(&LlmClient::new(), &server.call(protocol)).await
}

#[track_caller]
pub(crate) fn completed(outcome: LlmOutcome) -> (String, LlmUsage) {
    match outcome {
        LlmOutcome::Completed { output, usage, .. } => (output, usage),
        failed => panic!("{failed:?}"),
    }
}

#[track_caller]
pub(crate) fn failure(outcome: LlmOutcome) -> (FailureType, String) {
    match outcome {
        LlmOutcome::Failed { failure_type, error, .. } => (failure_type, error),
        completed => panic!("{completed:?}"),
    }
}

#[track_caller]
pub(crate) fn assert_contains(text: &str, part: &str) {
    assert!(text.contains(part), "no {part:?} in {text:?}");
}

const IS_CHILD: &str = "TURING_TEST_IS_CHILD";

/// Runs a test of this program in a process with further environment variables, because a
/// process cannot safely change its own. True in that process, which then does the testing.
pub(crate) fn is_child(test: &str, environment: &[(&str, &str)]) -> bool {
    if std::env::var_os(IS_CHILD).is_some() {
        return true;
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([test, "--exact", "--nocapture"]).env(IS_CHILD, "1");
    let output = child.envs(environment.iter().copied()).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    assert_contains(&stdout, "1 passed");
    false
}
