//! An endpoint on the loopback address that answers every question at once.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::BenchError;

/// The body of each answer.
const BODY: &str = r#"{"model":"none","response":"ok","done":true}"#;

/// A server that ends when it is dropped.
#[derive(Debug)]
pub(super) struct Endpoint {
    address: SocketAddr,
    /// Ends with it.
    _serving: JoinSet<()>,
}

impl Endpoint {
    pub(super) async fn start() -> Result<Self, BenchError> {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.map_err(BenchError::system("no port of 127.0.0.1 can be had"))?;
        let address = listener.local_addr();
        let address = address.map_err(BenchError::system("a port of 127.0.0.1 has no number"))?;
        let mut serving = JoinSet::new();
        serving.spawn(serve_all(listener));
        Ok(Self { address, _serving: serving })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn serve_all(listener: TcpListener) {
    let mut connections = JoinSet::new();
    // without a listener whoever asks is refused, which the run says
    while let Ok((connection, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(serve(connection));
    }
}

/// Answers one question after the other, until the connection ends.
async fn serve(connection: TcpStream) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let (reading, mut writing) = connection.into_split();
    let mut reading = BufReader::new(reading);
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    while let Some(length) = length_of_question(&mut reading).await? {
        // what is asked changes nothing
        let mut question = (&mut reading).take(length);
        tokio::io::copy(&mut question, &mut tokio::io::sink()).await?;
        writing.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

/// How long the body of the next request is; `None` if there is none.
async fn length_of_question(
    reading: &mut (impl AsyncBufReadExt + Unpin),
) -> io::Result<Option<u64>> {
    let (mut length, mut line) = (0, String::new());
    loop {
        line.clear();
        if reading.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        if line.trim().is_empty() {
            return Ok(Some(length));
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(|_| io::ErrorKind::InvalidData)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_connection_asks_again_and_again() {
        let endpoint = Endpoint::start().await.unwrap();
        let mut connection = TcpStream::connect(endpoint.address()).await.unwrap();
        for _ in 0..2 {
            let question = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}";
            connection.write_all(question).await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(BODY.as_bytes()) {
                assert!(connection.read_buf(&mut answer).await.unwrap() > 0);
            }
            assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
        }
    }
}
