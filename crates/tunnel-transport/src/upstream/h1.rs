//! HTTP/1.1: a connection for each exchange, kept for the next.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body as _;
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{self, SendRequest},
    },
};
use hyper_util::rt::TokioIo;
use pin_project::pin_project;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError},
    time::{Instant, timeout},
};
use tunnel_core::{Sent, TunnelError};

use crate::{
    net::windows,
    upstream::{
        bare::{Bare, Brief, Ended, Replay},
        body::Content,
        builder::Settings,
        dial::{Connector, Io},
        error,
        failed::Failed,
        hear_out::HearOut,
        idle::{Conn, IdleStack, Link},
        life::Life,
        tasks::Tasks,
        upload::Upload,
    },
};

/// What is read of a body at once, in bytes, and the largest head of a response. That may have 100 fields, which is hyper's own limit:
/// for any other one it makes two blocks of memory of 6 KiB and more for each head that it reads.
const BUFFER: usize = windows::EDGE_PIECE;

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
    _conn: SendRequest<Upload>,
    permit: Permit,
}

impl Alone {
    /// The place of the connection, which is somebody else's now.
    pub(super) fn into_permit(self) -> Permit {
        self.permit
    }
}

/// What hyper reads from and writes to.
pub(super) type HyperIo = TokioIo<HearOut<Replay<Io>>>;

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
    pub(super) async fn send(self: &Arc<Self>, request: Request<Upload>) -> Outcome {
        let permit = match self.permit().await {
            Ok(permit) => permit,
            Err(error) => return Err(Failed::unsent(error, request)),
        };
        let is_bare = suits_bare(&request);
        let conn = match is_bare {
            true => self.idle.take(),
            false => self.idle.take_kept().or_else(|| self.idle.take()),
        };
        let Some(conn) = conn else {
            return self.send_on_new(request, permit).await;
        };
        let mut lease = self.lease(conn, permit);
        if !is_bare {
            lease = match lease.driven(self).await {
                Ok(lease) => lease,
                Err(error) => return Err(Failed::unsent(error, request)),
            };
        }
        self.given(lease.give(request)).await
    }

    /// A connection that is idle, and can take this request without any waiting; none if there is none, or nobody may have one now.
    pub(super) fn take_idle(&self, request: &Request<Upload>) -> Option<Lease> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        let conn = match suits_bare(request) {
            true => self.idle.take()?,
            false => self.idle.take_kept()?,
        };
        Some(self.lease(conn, Some(permit)))
    }

    /// The exchange that was given to an idle connection. The upstream may be closing it just now: if nothing was written, a
    /// new one takes the request.
    pub(super) async fn given(self: &Arc<Self>, given: Given<impl Future<Output = Answered>>) -> Outcome {
        match given.await {
            Ok(answered) => Ok(answered),
            Err(later) => self.go_on(*later).await,
        }
    }

    /// The exchange that needs more than the connection could do for it.
    pub(super) async fn go_on(self: &Arc<Self>, later: Later) -> Outcome {
        match later {
            Later::Again(mut failed, lease) => match failed.take_message() {
                // Boxed, because it is rare, and larger than the way that most go.
                Some(unsent) => Box::pin(self.send_on_new(unsent, lease.permit)).await,
                None => Err(error::broken(failed.into_error()).into()),
            },
            Later::Unsent(lease, request) => Box::pin(self.send_on_new(request, lease.permit)).await,
            Later::Begun(lease, request, answer) => Box::pin(self.take_over(lease, request, answer)).await,
            Later::Broken(error) => Err(error::broke_off(error).into()),
        }
    }

    /// The exchange whose answer hyper has to read, from the beginning.
    async fn take_over(&self, mut lease: Lease, request: Request<Upload>, answer: Bytes) -> Outcome {
        let Link::Bare(bare) = lease.conn.link else {
            return Err(TunnelError::internal("hyper has the connection already").into());
        };
        let mut sender = match self.drive(Replay::new(bare.into_io(), answer)).await {
            Ok(sender) => sender,
            Err(error) => return Err(error::broken(error).into()),
        };
        let sent = sender.try_send_request(request).await;
        lease.conn.link = Link::Kept(sender);
        match sent {
            Ok(response) => Ok((response.map(Content::Incoming), lease)),
            Err(failed) => Err(error::broken(failed.into_error()).into()),
        }
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
        let mut sender = match self.dial_kept().await {
            Ok(sender) => sender,
            Err(error) => return Err(Failed::unsent(error, request)),
        };
        match sender.try_send_request(request).await {
            Ok(response) => Ok((
                response,
                Alone {
                    _conn: sender,
                    permit,
                },
            )),
            Err(failed) => Err(gave_back(failed)),
        }
    }

    async fn send_on_new(self: &Arc<Self>, request: Request<Upload>, permit: Permit) -> Outcome {
        let is_bare = suits_bare(&request);
        let link = match is_bare {
            true => self.dial().await.map(Link::Bare),
            false => self.dial_kept().await.map(Link::Kept),
        };
        let link = match link {
            Ok(link) => link,
            Err(error) => return Err(Failed::unsent(error, request)),
        };
        let dies = self.life.end();
        let lease = self.lease(Conn { link, dies }, permit);
        match lease.give(request).await {
            Ok(answered) => Ok(answered),
            Err(later) => match *later {
                Later::Again(failed, _) => Err(gave_back(failed)),
                Later::Unsent(_, request) => {
                    Err(Failed::unsent(error::cut_short().with_sent(Sent::No), request))
                }
                Later::Begun(lease, request, answer) => self.take_over(lease, request, answer).await,
                Later::Broken(error) => Err(error::broke_off(error).into()),
            },
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

    async fn dial(&self) -> Result<Box<Bare>, TunnelError> {
        let bare = Bare::new(self.connector.connect().await?);
        self.tasks.add_bare(bare.bell());
        Ok(bare)
    }

    async fn dial_kept(&self) -> Result<SendRequest<Upload>, TunnelError> {
        let io = Replay::none(self.connector.connect().await?);
        self.drive(io).await.map_err(error::unreachable)
    }

    /// Gives a connection to hyper.
    async fn drive(&self, io: Replay<Io>) -> hyper::Result<SendRequest<Upload>> {
        let io: HyperIo = TokioIo::new(HearOut::new(io));
        let (sender, connection) = http1::Builder::new().max_buf_size(BUFFER).handshake(io).await?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "connection to the upstream ended with an error");
            }
        });
        self.tasks.add(task.abort_handle());
        Ok(sender)
    }

    /// Makes up to so many connections before they are needed. Ends at the first that cannot be made.
    pub(super) async fn prepare(&self, connections: usize) {
        // All of them are held until the last one is there, or the first would be taken for the second.
        let mut leases = Vec::new();
        for _ in 0..connections {
            let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
                return;
            };
            let Ok(bare) = self.dial().await else { return };
            let (link, dies) = (Link::Bare(bare), self.life.end());
            leases.push(self.lease(Conn { link, dies }, Some(permit)));
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

/// Whether a connection that nothing drives may take this.
fn suits_bare(request: &Request<Upload>) -> bool {
    request.body().is_end_stream() && *request.method() != Method::CONNECT
}

/// An exchange that a new connection has failed.
fn gave_back(mut failed: TrySendError<Request<Upload>>) -> Failed {
    match failed.take_message() {
        Some(request) => Failed::unsent(error::unsent(failed.into_error()), request),
        None => error::broken(failed.into_error()).into(),
    }
}

/// How an exchange has ended, or gone until the head of its response.
pub(super) type Outcome = Result<(Response<Content>, Lease), Failed>;

/// What hyper says of an exchange.
pub(super) type Answered = Result<Response<Incoming>, TrySendError<Request<Upload>>>;

/// An exchange that a connection has, until the head of its response. Written by hand, because a future of the compiler would keep what it
/// is made of beside what it waits for.
#[pin_project(project = GivenProj)]
#[allow(
    clippy::large_enum_variant,
    reason = "most exchanges are of the larger variant, and a box would be paid for by each"
)]
pub(super) enum Given<F> {
    /// hyper writes and reads.
    Kept {
        #[pin]
        sent: F,
        /// Until the answer is there.
        lease: Option<Lease>,
    },
    /// This does.
    Bare {
        brief: Brief,
        request: Request<Upload>,
        /// Until the answer is there.
        lease: Option<Lease>,
    },
}

/// What has to be done where an exchange has not got an answer.
pub(super) enum Later {
    /// hyper has failed it.
    Again(TrySendError<Request<Upload>>, Lease),
    /// None of it was written.
    Unsent(Lease, Request<Upload>),
    /// An answer has come that hyper has to read; so it begins.
    Begun(Lease, Request<Upload>, Bytes),
    Broken(io::Error),
}

impl<F: Future<Output = Answered>> Future for Given<F> {
    type Output = Result<(Response<Content>, Lease), Box<Later>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            GivenProj::Kept { sent, lease } => {
                let answered = ready!(sent.poll(cx));
                let Some(lease) = lease.take() else {
                    return Poll::Pending;
                };
                Poll::Ready(match answered {
                    Ok(response) => Ok((response.map(Content::Incoming), lease)),
                    Err(failed) => Err(Box::new(Later::Again(failed, lease))),
                })
            }
            GivenProj::Bare {
                brief,
                request,
                lease,
            } => {
                let Some(Link::Bare(bare)) = lease.as_mut().map(|lease| &mut lease.conn.link) else {
                    return Poll::Pending;
                };
                let ended = ready!(brief.poll(bare, request, cx));
                let Some(lease) = lease.take() else {
                    return Poll::Pending;
                };
                let mut request = || std::mem::replace(request, Request::new(Upload::none()));
                Poll::Ready(Err(Box::new(match ended {
                    Ended::Whole(response) => return Poll::Ready(Ok((response.map(Content::Whole), lease))),
                    Ended::Begun(answer) => Later::Begun(lease, request(), answer),
                    Ended::Unsent => Later::Unsent(lease, request()),
                    Ended::Broken(error) => Later::Broken(error),
                })))
            }
        }
    }
}

impl Lease {
    /// Gives a request to the connection.
    pub(super) fn give(
        mut self,
        request: Request<Upload>,
    ) -> Given<impl Future<Output = Answered> + Send + use<>> {
        match &mut self.conn.link {
            Link::Kept(sender) => Given::Kept {
                sent: sender.try_send_request(request),
                lease: Some(self),
            },
            Link::Bare(_) => Given::Bare {
                brief: Brief::default(),
                request,
                lease: Some(self),
            },
        }
    }

    /// The same, driven by hyper.
    async fn driven(mut self, pool: &Http1Pool) -> Result<Self, TunnelError> {
        if let Link::Bare(bare) = self.conn.link {
            let sender = pool.drive(Replay::none(bare.into_io())).await;
            self.conn.link = Link::Kept(sender.map_err(error::unreachable)?);
        }
        Ok(self)
    }

    /// The response is complete: the connection is kept as soon as the request is complete too.
    pub(super) fn finish(self) {
        match &self.conn.link {
            Link::Kept(sender) if sender.is_closed() => {}
            Link::Kept(sender) if !sender.is_ready() => drop(tokio::spawn(self.keep_when_ready())),
            Link::Kept(_) | Link::Bare(_) => self.keep(),
        }
    }

    async fn keep_when_ready(mut self) {
        if let Link::Kept(sender) = &mut self.conn.link
            && sender.ready().await.is_ok()
        {
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
