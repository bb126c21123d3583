//! The server behind a proxy.

use std::{io, path::PathBuf};

use sqlx::postgres::PgConnectOptions;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

use crate::wire::Messages;

/// What the server says.
pub(crate) type FromServer = Messages<Box<dyn AsyncRead + Send + Unpin>>;

/// What is said to the server.
pub(crate) type ToServer = Box<dyn AsyncWrite + Send + Unpin>;

/// The address of a server.
#[derive(Clone, Debug)]
pub(crate) enum Upstream {
    Unix(PathBuf),
    Tcp(String, u16),
}

impl Upstream {
    /// Where these options connect to.
    pub(crate) fn of(options: &PgConnectOptions) -> Self {
        let (host, port) = (options.get_host(), options.get_port());
        let folder = options.get_socket().cloned();
        let folder = folder.or_else(|| host.starts_with('/').then(|| PathBuf::from(host)));
        match folder {
            Some(folder) => Self::Unix(folder.join(format!(".s.PGSQL.{port}"))),
            None => Self::Tcp(host.to_owned(), port),
        }
    }

    /// Connects; the connection ends when both halves are dropped.
    pub(crate) async fn connect(&self) -> io::Result<(FromServer, ToServer)> {
        match self {
            Self::Unix(path) => {
                let (reading, writing) = UnixStream::connect(path).await?.into_split();
                Ok((Messages::of(Box::new(reading)), Box::new(writing)))
            }
            Self::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                let (reading, writing) = stream.into_split();
                Ok((Messages::of(Box::new(reading)), Box::new(writing)))
            }
        }
    }
}
