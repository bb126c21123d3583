//! What a client of a pooler sees.

use std::{future, io};

use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    net::{TcpStream, tcp::OwnedWriteHalf},
    sync::{mpsc, oneshot},
};

use crate::wire::{Message, Messages, Start};

use super::{
    Pools,
    pool::{Attached, Refusal},
};

/// The startup parameters that are not refused: those that pgbouncer lets through when nothing
/// was configured.
const PARAMETERS: &[&str] =
    &["user", "database", "application_name", "client_encoding", "DateStyle", "TimeZone"];

/// A client: what it has sent and was not handed on, whether it is gone, and the way to it.
struct Client {
    sent: mpsc::UnboundedReceiver<Message>,
    gone: oneshot::Receiver<()>,
    answers: OwnedWriteHalf,
}

/// How a transaction ended.
enum End {
    /// The session is idle and may be another client's.
    Idle,
    /// The session or the client is gone.
    Lost,
}

/// Who is to say something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Client,
    Server,
}

/// Serves a client until it leaves.
pub(super) async fn serve(stream: TcpStream, pools: &Pools) -> io::Result<()> {
    let (reading, mut answers) = stream.into_split();
    let mut messages = Messages::of(reading);
    let Some(Start::Session { parameters, .. }) = messages.start(&mut answers).await? else {
        return Ok(());
    };
    if let Some((name, _)) = parameters.iter().find(|(name, _)| !PARAMETERS.contains(&&**name)) {
        let why = format!("unsupported startup parameter: {name}");
        return send(&mut answers, &Message::fatal("08P01", &why)).await;
    }
    let parameter =
        |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| &**value);
    let user = parameter("user").unwrap_or_default();
    let pool = pools.of(user, parameter("database").unwrap_or(user));

    let (sent_to, sent) = mpsc::unbounded_channel();
    let (gone_to, gone) = oneshot::channel();
    let reading = async {
        // reads ahead, so that a client that leaves while it waits is seen to leave
        while let Ok(Some(message)) = messages.next().await {
            if sent_to.send(message).is_err() {
                break;
            }
        }
        drop(sent_to);
        let _ = gone_to.send(());
        future::pending::<io::Result<()>>().await
    };
    let serving = async {
        let mut client = Client { sent, gone, answers };
        let attached = match pool.attach().await {
            Ok(attached) => attached,
            Err(Refusal(message)) => return client.answer(&message).await,
        };
        client.greet(&attached.backend.settings).await?;
        attached.detach().await;
        client.ready().await?;
        while let Some(message) = client.sent.recv().await {
            if message.kind() == b'X' {
                break;
            }
            let mut attached = match pool.attach().await {
                Ok(attached) => attached,
                Err(Refusal(message)) => return client.answer(&message).await,
            };
            match client.transact(message, &mut attached).await? {
                End::Idle => attached.detach().await,
                End::Lost => break,
            }
        }
        Ok(())
    };
    tokio::select! {
        end = serving => end,
        end = reading => end,
    }
}

impl Client {
    /// Tells the client that it is let in, and the settings of the server.
    async fn greet(&mut self, settings: &[Message]) -> io::Result<()> {
        self.answer(&Message::new(b'R', &[0; 4])).await?;
        for setting in settings {
            self.answer(setting).await?;
        }
        // a process id and a key: nothing is cancelled by them
        self.answer(&Message::new(b'K', &[0; 8])).await
    }

    async fn ready(&mut self) -> io::Result<()> {
        self.answer(&Message::new(b'Z', b"I")).await
    }

    async fn answer(&mut self, message: &Message) -> io::Result<()> {
        send(&mut self.answers, message).await
    }

    /// Hands on messages both ways, from a client's first one until the session is idle. After
    /// each Sync and Query the server has its turn, so that what a client sends ahead goes to
    /// another session if the transaction is over.
    async fn transact(&mut self, first: Message, attached: &mut Attached) -> io::Result<End> {
        let backend = &mut attached.backend;
        let mut simple = false;
        let mut turn = turn_after(&first, &mut simple);
        let mut unsent = first.bytes().to_vec();
        loop {
            tokio::select! {
                written = backend.to_server.write(&unsent), if !unsent.is_empty() => {
                    unsent.drain(..written?);
                }
                message = backend.from_server.next() => {
                    let Some(message) = message? else { return Ok(End::Lost) };
                    self.answer(&message).await?;
                    match message.kind() {
                        b'Z' if message.body() == b"I" => return Ok(End::Idle),
                        // the transaction goes on, or the client is to send what is copied
                        b'Z' | b'G' | b'W' => turn = Turn::Client,
                        _ => {}
                    }
                }
                message = self.sent.recv(), if turn == Turn::Client && unsent.is_empty() => {
                    let Some(message) = message else { return Ok(End::Lost) };
                    if message.kind() == b'X' {
                        return Ok(End::Lost);
                    }
                    turn = turn_after(&message, &mut simple);
                    unsent = message.bytes().to_vec();
                }
                _ = &mut self.gone, if turn == Turn::Server => {
                    return Ok(End::Lost);
                }
            }
        }
    }
}

/// Whose turn it is after a message of a client. `simple` is whether it belongs to a Query, of
/// which the end of a copy is the last message.
fn turn_after(message: &Message, simple: &mut bool) -> Turn {
    match message.kind() {
        b'Q' | b'F' => {
            *simple = true;
            Turn::Server
        }
        b'S' => Turn::Server,
        b'c' | b'f' if *simple => Turn::Server,
        b'P' | b'B' | b'E' | b'D' | b'C' => {
            *simple = false;
            Turn::Client
        }
        _ => Turn::Client,
    }
}

async fn send(to: &mut (impl AsyncWrite + Unpin), message: &Message) -> io::Result<()> {
    to.write_all(message.bytes()).await
}
