//! HTTP/1.1: a connection for each exchange, kept for the next.

use std::{sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1},
};
use hyper_util::rt::TokioIo;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError},
    time::{Instant, timeout},
};
use tunnel_core::TunnelError;

use crate::upstream::{
    builder::Settings,
    dial::{Connector, Io},
    error,
    failed::Failed,
    hear_out::HearOut,
    idle::{Conn, IdleStack},
    life::Life,
    tasks::Tasks,
    upload::Upload,
};

/// The largest head of a response, in bytes, and as much is read of a body at once. It may have 100 fields, which is hyper's own limit:
/// for any other one it makes two blocks of memory of 6 KiB and more for each head that it reads.
const BUFFER: usize = 64 * 1024;

/// The connections to one upstream.
pub(super) struct Http1Pool {
    connector: Connector,
    idle: Arc<IdleStack>,
    /// One for each connection in use. A new one is made only when none is idle, so there are never more than permits.
    permits: Arc<Semaphore>,
    /// Whether there may be more connections than permits; those are not kept.
    elastic: bool,
    queue_timeout: Duration,
    life: Life,
    tasks: Arc<Tasks>,
}

/// A connection in use. Unless [finished](Self::finish) it is closed.
pub(super) struct Lease {
    conn: Conn,
    idle: Arc<IdleStack>,
    permit: Permit,
}

/// A place among the connections; none for one beyond their number.
type Permit = Option<OwnedSemaphorePermit>;

/// A connection that was made for one exchange, and is closed after it.
pub(super) struct Alone {
    /// Until it is dropped the connection waits for more.
    _conn: Conn,
    permit: Permit,
}

impl Alone {
    /// The place of the connection, which is somebody else's now.
    pub(super) fn into_permit(self) -> Permit {
        self.permit
    }
}

/// What hyper reads from and writes to.
pub(super) type HyperIo = TokioIo<HearOut<Io>>;

impl Http1Pool {
    pub(super) fn new(connector: Connector, settings: &Settings, tasks: Arc<Tasks>) -> Arc<Self> {
        Arc::new(Self {
            connector,
            idle: Arc::new(IdleStack::new(settings.max_idle, settings.http1_idle_timeout())),
            permits: Arc::new(Semaphore::new(settings.max_connections.http1)),
            elastic: settings.elastic,
            queue_timeout: settings.queue_timeout,
            life: Life::new(settings.max_life),
            tasks,
        })
    }

    /// One exchange, until the head of its response. Dropping the future closes its connection.
    pub(super) async fn send(&self, request: Request<Upload>) -> Result<(Response<Incoming>, Lease), Failed> {
        let permit = match self.permit().await {
            Ok(permit) => permit,
            Err(error) => return Err(Failed::unsent(error, request)),
        };
        let Some(conn) = self.idle.take() else {
            let (response, conn) = self.send_on_new(request).await?;
            return Ok((response, self.lease(conn, permit)));
        };
        let mut lease = self.lease(conn, permit);
        let sent = lease.send(request);
        self.sent_on_idle(sent, lease).await
    }

    /// A connection that is idle, without any waiting; none if there is none, or nobody may have one now.
    pub(super) fn take_idle(&self) -> Option<Lease> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        Some(self.lease(self.idle.take()?, Some(permit)))
    }

    /// The exchange that was given to an idle connection. The upstream may be closing it just now: if nothing was written, a
    /// new one takes the request.
    pub(super) async fn sent_on_idle(
        &self,
        sent: impl Future<Output = Answered>,
        lease: Lease,
    ) -> Result<(Response<Incoming>, Lease), Failed> {
        match sent.await {
            Ok(response) => Ok((response, lease)),
            Err(failed) => self.again(failed, lease).await,
        }
    }

    /// The exchange that an idle connection has `failed`: as [`sent_on_idle`](Self::sent_on_idle).
    pub(super) async fn again(
        &self,
        mut failed: TrySendError<Request<Upload>>,
        lease: Lease,
    ) -> Result<(Response<Incoming>, Lease), Failed> {
        let Some(unsent) = failed.take_message() else {
            return Err(error::broken(failed.into_error()).into());
        };
        // Boxed, because it is rare, and larger than the way that most go.
        let (response, conn) = Box::pin(self.send_on_new(unsent)).await?;
        Ok((response, self.lease(conn, lease.permit)))
    }

    /// One exchange, as [`send`](Self::send), on a connection that serves no other one, before or after.
    pub(super) async fn send_alone(
        &self,
        request: Request<Upload>,
    ) -> Result<(Response<Incoming>, Alone), Failed> {
        let permit = match self.permit().await {
            Ok(permit) => permit,
            Err(error) => return Err(Failed::unsent(error, request)),
        };
        let (response, conn) = self.send_on_new(request).await?;
        let alone = Alone { _conn: conn, permit };
        Ok((response, alone))
    }

    async fn send_on_new(&self, request: Request<Upload>) -> Result<(Response<Incoming>, Conn), Failed> {
        let mut conn = match self.dial().await {
            Ok(conn) => conn,
            Err(error) => return Err(Failed::unsent(error, request)),
        };
        let mut failed = match conn.sender.try_send_request(request).await {
            Ok(response) => return Ok((response, conn)),
            Err(failed) => failed,
        };
        match failed.take_message() {
            Some(request) => Err(Failed::unsent(error::unsent(failed.into_error()), request)),
            None => Err(error::broken(failed.into_error()).into()),
        }
    }

    async fn permit(&self) -> Result<Permit, TunnelError> {
        // There is one, unless somebody waits for one.
        match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => return Ok(Some(permit)),
            Err(TryAcquireError::Closed) => return Err(error::closed()),
            Err(TryAcquireError::NoPermits) if self.elastic => return Ok(None),
            Err(TryAcquireError::NoPermits) => {}
        }
        let permits = Arc::clone(&self.permits);
        match timeout(self.queue_timeout, permits.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Some(permit)),
            Ok(Err(_)) => Err(error::closed()),
            Err(_) => Err(error::overloaded()),
        }
    }

    async fn dial(&self) -> Result<Conn, TunnelError> {
        let io = TokioIo::new(HearOut::new(self.connector.connect().await?));
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(BUFFER)
            .handshake(io)
            .await
            .map_err(error::unreachable)?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "connection to the upstream ended with an error");
            }
        });
        self.tasks.add(task.abort_handle());
        let dies = self.life.end();
        Ok(Conn { sender, dies })
    }

    /// Makes up to so many connections before they are needed. Ends at the first that cannot be made.
    pub(super) async fn prepare(&self, connections: usize) {
        // All of them are held until the last one is there, or the first would be taken for the second.
        let mut leases = Vec::new();
        for _ in 0..connections {
            let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
                return;
            };
            let Ok(conn) = self.dial().await else { return };
            leases.push(self.lease(conn, Some(permit)));
        }
        for lease in leases {
            lease.finish();
        }
    }

    /// Whether a request would find a place at once.
    pub(super) fn has_room(&self) -> bool {
        self.elastic || self.permits.available_permits() > 0
    }

    /// Takes nothing new, and keeps nothing.
    pub(super) fn close(&self) {
        self.permits.close();
        self.idle.close();
    }

    fn lease(&self, conn: Conn, permit: Permit) -> Lease {
        Lease {
            conn,
            idle: Arc::clone(&self.idle),
            permit,
        }
    }
}

/// What hyper says of an exchange.
pub(super) type Answered = Result<Response<Incoming>, TrySendError<Request<Upload>>>;

impl Lease {
    /// Gives a request to the connection.
    pub(super) fn send(&mut self, request: Request<Upload>) -> impl Future<Output = Answered> + Send + use<> {
        self.conn.sender.try_send_request(request)
    }

    /// The response is complete: the connection is kept as soon as the request is complete too.
    pub(super) fn finish(self) {
        if self.conn.sender.is_ready() {
            self.keep();
        } else if !self.conn.sender.is_closed() {
            tokio::spawn(self.keep_when_ready());
        }
    }

    async fn keep_when_ready(mut self) {
        if self.conn.sender.ready().await.is_ok() {
            self.keep();
        }
    }

    /// The connection first and the permit after it, so that whoever gets the permit finds the connection.
    fn keep(self) {
        if self.permit.is_some() && self.conn.dies.is_none_or(|dies| Instant::now() < dies) {
            self.idle.put(self.conn);
        }
        drop(self.permit);
    }
}
