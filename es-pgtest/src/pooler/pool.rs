//! The sessions of a pooler.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    io::AsyncWriteExt,
    sync::{OwnedSemaphorePermit, Semaphore},
};

use crate::{
    upstream::{FromServer, ToServer, Upstream},
    wire::{self, Message},
};

/// The sessions of one user in one database.
#[derive(Debug)]
pub(super) struct Pool {
    upstream: Upstream,
    user: String,
    database: String,
    size: usize,
    /// One permit for each session that is not attached.
    free: Arc<Semaphore>,
    sessions: Mutex<Sessions>,
}

#[derive(Debug, Default)]
struct Sessions {
    /// The session that has been idle for longest comes first.
    idle: VecDeque<Backend>,
    /// Idle or attached.
    open: usize,
}

/// A session of the server.
pub(super) struct Backend {
    pub(super) from_server: FromServer,
    pub(super) to_server: ToServer,
    /// The settings that the server reported at its start.
    pub(super) settings: Vec<Message>,
}

/// A session that belongs to one client for now. If it is dropped and not detached, it ends.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) backend: Backend,
    place: Place,
}

/// The right to have a session.
#[derive(Debug)]
struct Place {
    pool: Arc<Pool>,
    given_back: bool,
    #[expect(dead_code, reason = "held until the place is given back")]
    permit: OwnedSemaphorePermit,
}

/// Why there is no session: what the client is told.
pub(super) struct Refusal(pub(super) Message);

impl Pool {
    /// A pool without sessions, for up to `size`.
    pub(super) fn new(upstream: Upstream, user: &str, database: &str, size: usize) -> Arc<Self> {
        Arc::new(Self {
            upstream,
            user: user.to_owned(),
            database: database.to_owned(),
            size,
            free: Arc::new(Semaphore::new(size)),
            sessions: Mutex::default(),
        })
    }

    /// Waits for a session: a new one as long as there may be more, then the one that has been
    /// idle for longest.
    pub(super) async fn attach(self: &Arc<Self>) -> Result<Attached, Refusal> {
        let permit = self.free.clone().acquire_owned().await.expect("never closed");
        let idle = {
            let mut sessions = self.sessions();
            if sessions.open < self.size {
                sessions.open += 1;
                None
            } else {
                sessions.idle.pop_front()
            }
        };
        let place = Place { pool: self.clone(), given_back: false, permit };
        if let Some(mut backend) = idle {
            // once more, which shows whether the session lives
            if backend.discard().await.is_ok() {
                return Ok(Attached { backend, place });
            }
        }
        let backend = self.open().await?;
        Ok(Attached { backend, place })
    }

    async fn open(&self) -> Result<Backend, Refusal> {
        let failed = |error: io::Error| {
            Refusal(Message::fatal("08006", &format!("the pooler cannot connect: {error}")))
        };
        let (from_server, to_server) = self.upstream.connect().await.map_err(failed)?;
        let mut backend = Backend { from_server, to_server, settings: Vec::new() };
        let startup = wire::startup(&[
            ("user", &self.user),
            ("database", &self.database),
            ("application_name", "es-pgtest pooler"),
            ("client_encoding", "UTF8"),
            ("DateStyle", "ISO, MDY"),
            ("TimeZone", "UTC"),
        ]);
        backend.to_server.write_all(&startup).await.map_err(failed)?;
        loop {
            let message = backend.receive().await.map_err(failed)?;
            match message.kind() {
                b'Z' => return Ok(backend),
                b'S' => backend.settings.push(message),
                b'E' => return Err(Refusal(message)),
                b'R' if message.body() != [0; 4] => {
                    let why = "the pooler needs a server that trusts its clients, without password";
                    return Err(Refusal(Message::fatal("28000", why)));
                }
                _ => {}
            }
        }
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attached {
    /// Discards what the client left in the session and gives it back.
    pub(super) async fn detach(mut self) {
        if self.backend.discard().await.is_ok() {
            self.place.given_back = true;
            self.place.pool.sessions().idle.push_back(self.backend);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.given_back {
            self.pool.sessions().open -= 1;
        }
    }
}

impl Backend {
    async fn discard(&mut self) -> io::Result<()> {
        self.to_server.write_all(Message::new(b'Q', b"DISCARD ALL\0").bytes()).await?;
        loop {
            let message = self.receive().await?;
            match message.kind() {
                b'Z' => return Ok(()),
                b'E' => return Err(io::ErrorKind::InvalidData.into()),
                _ => {}
            }
        }
    }

    async fn receive(&mut self) -> io::Result<Message> {
        self.from_server.next().await?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backend").finish_non_exhaustive()
    }
}
