//! A server for one test.

use std::{
    process::Child,
    sync::{Mutex, PoisonError},
};

use crate::{
    account::Account,
    binaries::Binaries,
    cluster::Cluster,
    error::Error,
    folder::{Base, Folder},
    guardian::{self, Hold},
    tls::{Authority, Certificate},
};

/// What a cluster has besides its socket.
#[derive(Clone, Copy, Debug)]
enum With {
    Nothing,
    Standby,
    Port,
}

/// A cluster with its running server, which goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Private {
    cluster: Cluster,
    server: Mutex<Option<Child>>,
    standby: Option<Child>,
    /// Where it takes connections besides its socket.
    port: Option<u16>,
    /// Of use until the server is dropped.
    guard: Option<(Hold, Child)>,
}

impl Private {
    /// Makes and starts a cluster.
    pub(crate) fn start_new(settings: &[(&str, &str)]) -> Result<Self, Error> {
        Self::start_cluster(settings, With::Nothing)
    }

    /// Makes and starts a cluster with a streaming standby, for whose answer every commit waits.
    pub(crate) fn start_with_standby(settings: &[(&str, &str)]) -> Result<Self, Error> {
        Self::start_cluster(settings, With::Standby)
    }

    /// Makes and starts a cluster that listens on a port of 127.0.0.1.
    pub(crate) fn start_with_port(settings: &[(&str, &str)]) -> Result<Self, Error> {
        Self::start_cluster(settings, With::Port)
    }

    fn start_cluster(settings: &[(&str, &str)], with: With) -> Result<Self, Error> {
        let binaries = Binaries::find()?;
        let account = Account::find()?;
        let base = Base::make(&binaries, account)?;
        let lock = base.lock()?;
        let folder = base.folder(account)?;
        let guard = guardian::guard(&folder, 0)?;
        drop(lock);
        let cluster = Cluster::make(binaries, account, folder, settings)?;
        let port = match with {
            With::Nothing => None,
            With::Standby => cluster.make_standby().map(|()| None)?,
            With::Port => Some(cluster.listen()?),
        };
        let server = Mutex::new(None);
        let mut private = Self { cluster, server, standby: None, port, guard: Some(guard) };
        private.start()?;
        if let With::Standby = with {
            private.standby = Some(private.cluster.start_standby()?);
        }
        Ok(private)
    }

    /// The folder of the server.
    pub(crate) fn folder(&self) -> &Folder {
        self.cluster.folder()
    }

    /// The port, if it has one.
    pub(crate) fn port(&self) -> Option<u16> {
        self.port
    }

    /// Changes which certificate the server shows from its next start on.
    pub(crate) fn secure(
        &self,
        certificate: Option<&Certificate>,
        clients: Option<&Authority>,
    ) -> Result<(), Error> {
        self.cluster.secure(certificate, clients)
    }

    /// Starts the server unless it runs.
    pub(crate) fn start(&self) -> Result<(), Error> {
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        if server.is_none() {
            *server = Some(self.cluster.start()?);
        }
        Ok(())
    }

    /// Stops the server: in order, or at once, which leaves recovery to the next start.
    pub(crate) fn stop(&self, at_once: bool) {
        if let Some(server) = self.take() {
            self.cluster.stop(server, at_once);
        }
    }

    /// Kills the server.
    pub(crate) fn kill(&self) {
        if let Some(server) = self.take() {
            self.cluster.kill(server);
        }
    }

    fn take(&self) -> Option<Child> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        if let Some(standby) = self.standby.take() {
            self.cluster.stop(standby, true);
        }
        match self.take() {
            Some(server) => self.cluster.stop(server, true),
            None => self.cluster.forget(),
        }
        // without a user the guardian removes the folder
        if let Some((hold, mut guardian)) = self.guard.take() {
            drop(hold);
            let _ = guardian.wait();
        }
    }
}
