//! The framing of PostgreSQL's protocol, version 3.

use std::{
    io::{self, Read, Write},
    mem,
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The code of a startup packet of version 3.0, and of what may stand in its place.
const VERSION_3: i32 = 3 << 16;
const CANCEL_REQUEST: i32 = 80_877_102;
const SSL_REQUEST: i32 = 80_877_103;
const GSS_REQUEST: i32 = 80_877_104;

/// The bytes of a startup packet.
pub(crate) fn startup(parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend(VERSION_3.to_be_bytes());
    for text in parameters.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend(text.as_bytes());
        bytes.push(0);
    }
    bytes.push(0);
    let length = u32::try_from(bytes.len()).expect("a startup packet is short");
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes
}

/// Whether a server that trusts its clients lets a user in.
pub(crate) fn answers(socket: &Path, user: &str) -> bool {
    try_connect(socket, user).is_ok()
}

fn try_connect(socket: &Path, user: &str) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(&startup(&[("user", user), ("database", "postgres")]))?;
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        let length = u64::from(u32::from_be_bytes(length)).saturating_sub(4);
        io::copy(&mut (&stream).take(length), &mut io::sink())?;
        match kind {
            // ready for a query: say goodbye
            b'Z' => return stream.write_all(&[b'X', 0, 0, 0, 4]),
            b'E' => return Err(io::ErrorKind::ConnectionRefused.into()),
            _ => {}
        }
    }
}

/// A message of either side, with its type and length.
#[derive(Clone, Debug)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    /// A message of this type and content.
    pub(crate) fn new(kind: u8, body: &[u8]) -> Self {
        let length = u32::try_from(body.len() + 4).expect("a message that we make is short");
        let mut bytes = vec![kind];
        bytes.extend(length.to_be_bytes());
        bytes.extend(body);
        Self(bytes)
    }

    /// The end of a session that is refused, with a SQLSTATE and why.
    pub(crate) fn fatal(code: &str, why: &str) -> Self {
        Self::new(b'E', format!("SFATAL\0VFATAL\0C{code}\0M{why}\0\0").as_bytes())
    }

    /// Its type.
    pub(crate) fn kind(&self) -> u8 {
        self.0[0]
    }

    /// What follows type and length.
    pub(crate) fn body(&self) -> &[u8] {
        &self.0[5..]
    }

    /// All of it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// How a connection begins.
#[derive(Debug)]
pub(crate) enum Start {
    /// A session, with the bytes that ask for it.
    Session { bytes: Vec<u8>, parameters: Vec<(String, String)> },
    /// A request to cancel what another session does.
    Cancel { bytes: Vec<u8> },
}

/// Takes messages from a stream. A future that is dropped loses nothing.
#[derive(Debug)]
pub(crate) struct Messages<R> {
    stream: R,
    read: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Messages<R> {
    /// Of a stream from which nothing was read.
    pub(crate) fn of(stream: R) -> Self {
        Self { stream, read: Vec::new() }
    }

    /// The next message; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Message>> {
        Ok(self.take(1).await?.map(Message))
    }

    /// The start of a connection; requests for encryption are refused. `None` at the end of
    /// the stream.
    pub(crate) async fn start(
        &mut self,
        answers: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<Option<Start>> {
        while let Some(bytes) = self.take(0).await? {
            match bytes.get(4..8).map_or(0, number) {
                SSL_REQUEST | GSS_REQUEST => answers.write_all(b"N").await?,
                CANCEL_REQUEST => return Ok(Some(Start::Cancel { bytes })),
                VERSION_3 => {
                    let parameters = parameters(&bytes[8..]);
                    return Ok(Some(Start::Session { bytes, parameters }));
                }
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
        Ok(None)
    }

    /// As many bytes as the length says that stands after `before` other bytes, with those.
    async fn take(&mut self, before: usize) -> io::Result<Option<Vec<u8>>> {
        loop {
            let length = self.read.get(before..before + 4).map(number);
            if let Some(length) = length {
                let length = usize::try_from(length).unwrap_or(0);
                if length < 4 {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                if let Some(rest) = self.read.get(before + length..) {
                    let rest = rest.to_vec();
                    self.read.truncate(before + length);
                    return Ok(Some(mem::replace(&mut self.read, rest)));
                }
            }
            self.read.reserve(16 * 1024);
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return if self.read.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }
}

/// The first four bytes as a number.
fn number(bytes: &[u8]) -> i32 {
    bytes.first_chunk().map_or(0, |bytes| i32::from_be_bytes(*bytes))
}

/// The pairs of strings, each ended by a zero, of a startup packet.
fn parameters(bytes: &[u8]) -> Vec<(String, String)> {
    let mut texts = bytes.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into());
    let mut pairs = Vec::new();
    while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
        let name: String = name;
        if name.is_empty() {
            break;
        }
        pairs.push((name, value));
    }
    pairs
}
