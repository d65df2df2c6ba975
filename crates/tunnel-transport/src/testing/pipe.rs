//! Ports without a network.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{DuplexStream, duplex},
    sync::mpsc,
};
use tunnel_core::PeerInfo;

use crate::net::Listener;

/// What a connection holds on its way, in each direction, unless said otherwise: as much as a socket's buffer.
pub const DEFAULT_BUFFER: usize = 64 * 1024;

/// Connections that wait to be accepted.
const BACKLOG: usize = 1_024;

/// A port that exists only in this process: while a [`PipeListener`] listens at it, connections can be made. Clones are the same port.
#[derive(Clone, Debug)]
pub struct Port {
    listener: Arc<Mutex<Option<mpsc::Sender<Accepted>>>>,
    buffer: usize,
}

type Accepted = (DuplexStream, PeerInfo);

impl Port {
    /// A port at which nobody listens yet. Its connections hold `buffer` bytes in each direction, at least one.
    #[must_use]
    pub fn new(buffer: usize) -> Self {
        Self {
            listener: Arc::default(),
            buffer: buffer.max(1),
        }
    }

    /// Listens; whoever did before gets no more connections. The port is closed when the listener is dropped.
    #[must_use]
    pub fn listen(&self) -> PipeListener {
        let (sender, connections) = mpsc::channel(BACKLOG);
        *self.lock() = Some(sender);
        PipeListener { connections }
    }

    /// Connects, as `peer`.
    ///
    /// # Errors
    ///
    /// Nobody listens, or nobody accepts.
    pub fn connect(&self, peer: PeerInfo) -> io::Result<DuplexStream> {
        let (near, far) = duplex(self.buffer);
        let listener = self.lock().clone();
        let sent = listener.map(|listener| listener.try_send((far, peer)));
        match sent {
            Some(Ok(())) => Ok(near),
            Some(Err(_)) | None => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<mpsc::Sender<Accepted>>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Port {
    fn default() -> Self {
        Self::new(DEFAULT_BUFFER)
    }
}

/// Accepts the connections of a [`Port`].
#[derive(Debug)]
pub struct PipeListener {
    connections: mpsc::Receiver<Accepted>,
}

impl Listener for PipeListener {
    type Io = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, PeerInfo)> {
        match self.connections.recv().await {
            Some(accepted) => Ok(accepted),
            // Somebody else listens now.
            None => std::future::pending().await,
        }
    }
}
