//! HTTP/1.1: a connection for each exchange, kept for the next.

use std::{sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{self, SendRequest},
    },
};
use hyper_util::rt::TokioIo;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tunnel_core::TunnelError;

use crate::upstream::{
    builder::Settings,
    dial::{Connector, Io},
    error,
    hear_out::HearOut,
    idle::IdleStack,
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
    queue_timeout: Duration,
}

/// A connection in use. Unless [finished](Self::finish) it is closed.
pub(super) struct Lease {
    sender: SendRequest<Upload>,
    idle: Arc<IdleStack>,
    permit: OwnedSemaphorePermit,
}

/// A connection that was made for one exchange, and is closed after it.
pub(super) struct Alone {
    /// Until it is dropped the connection waits for more.
    _sender: SendRequest<Upload>,
    permit: OwnedSemaphorePermit,
}

impl Alone {
    /// The place of the connection, which is somebody else's now.
    pub(super) fn into_permit(self) -> OwnedSemaphorePermit {
        self.permit
    }
}

/// What hyper reads from and writes to.
pub(super) type HyperIo = TokioIo<HearOut<Io>>;

impl Http1Pool {
    pub(super) fn new(connector: Connector, settings: &Settings) -> Arc<Self> {
        Arc::new(Self {
            connector,
            idle: Arc::new(IdleStack::new(settings.max_idle, settings.idle_timeout)),
            permits: Arc::new(Semaphore::new(settings.max_connections.http1)),
            queue_timeout: settings.queue_timeout,
        })
    }

    /// One exchange, until the head of its response. Dropping the future closes its connection.
    pub(super) async fn send(
        &self,
        request: Request<Upload>,
    ) -> Result<(Response<Incoming>, Lease), TunnelError> {
        let permit = self.permit().await?;
        let Some(sender) = self.idle.take() else {
            let (response, sender) = self.send_on_new(request).await?;
            return Ok((response, self.lease(sender, permit)));
        };
        let mut lease = self.lease(sender, permit);
        let sent = lease.send(request);
        self.sent_on_idle(sent, lease).await
    }

    /// A connection that is idle, without any waiting; none if there is none, or nobody may have one now.
    pub(super) fn take_idle(&self) -> Option<Lease> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        Some(self.lease(self.idle.take()?, permit))
    }

    /// The exchange that was given to an idle connection. The upstream may be closing it just now: if nothing was written, a
    /// new one takes the request.
    pub(super) async fn sent_on_idle(
        &self,
        sent: impl Future<Output = Answered>,
        lease: Lease,
    ) -> Result<(Response<Incoming>, Lease), TunnelError> {
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
    ) -> Result<(Response<Incoming>, Lease), TunnelError> {
        let Some(unsent) = failed.take_message() else {
            return Err(error::broken(failed.into_error()));
        };
        // Boxed, because it is rare, and larger than the way that most go.
        let (response, sender) = Box::pin(self.send_on_new(unsent)).await?;
        Ok((response, self.lease(sender, lease.permit)))
    }

    /// One exchange, as [`send`](Self::send), on a connection that serves no other one, before or after.
    pub(super) async fn send_alone(
        &self,
        request: Request<Upload>,
    ) -> Result<(Response<Incoming>, Alone), TunnelError> {
        let permit = self.permit().await?;
        let (response, sender) = self.send_on_new(request).await?;
        let alone = Alone {
            _sender: sender,
            permit,
        };
        Ok((response, alone))
    }

    async fn send_on_new(
        &self,
        request: Request<Upload>,
    ) -> Result<(Response<Incoming>, SendRequest<Upload>), TunnelError> {
        let mut sender = self.dial().await?;
        match sender.try_send_request(request).await {
            Ok(response) => Ok((response, sender)),
            Err(failed) if failed.message().is_some() => Err(error::unsent(failed.into_error())),
            Err(failed) => Err(error::broken(failed.into_error())),
        }
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, TunnelError> {
        // There is one, unless somebody waits for one.
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(permit);
        }
        let permits = Arc::clone(&self.permits);
        match timeout(self.queue_timeout, permits.acquire_owned()).await {
            Ok(permit) => Ok(permit.expect("the semaphore is never closed")),
            Err(_) => Err(error::overloaded()),
        }
    }

    async fn dial(&self) -> Result<SendRequest<Upload>, TunnelError> {
        let io = TokioIo::new(HearOut::new(self.connector.connect().await?));
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(BUFFER)
            .handshake(io)
            .await
            .map_err(error::unreachable)?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "connection to the upstream ended with an error");
            }
        });
        Ok(sender)
    }

    fn lease(&self, sender: SendRequest<Upload>, permit: OwnedSemaphorePermit) -> Lease {
        Lease {
            sender,
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
        self.sender.try_send_request(request)
    }

    /// The response is complete: the connection is kept as soon as the request is complete too.
    pub(super) fn finish(self) {
        if self.sender.is_ready() {
            self.keep();
        } else if !self.sender.is_closed() {
            tokio::spawn(self.keep_when_ready());
        }
    }

    async fn keep_when_ready(mut self) {
        if self.sender.ready().await.is_ok() {
            self.keep();
        }
    }

    /// The connection first and the permit after it, so that whoever gets the permit finds the connection.
    fn keep(self) {
        self.idle.put(self.sender);
        drop(self.permit);
    }
}
