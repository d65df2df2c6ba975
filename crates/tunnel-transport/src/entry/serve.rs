use std::{
    cell::RefCell,
    fmt,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_service::Service;
use tunnel_core::{BoxError, PeerInfo, turn::Turns, upgrade::Stopping};

use crate::{
    entry::{
        Entry, RequestBody,
        activity::Activity,
        addresses::Addresses,
        connection,
        executor::StreamExecutor,
        io::{AbortFlag, EntryIo, Held, SocketTimes, UseFlag},
        service::EntryService,
        shared::Shared,
        woken::Woken,
    },
    net::{Acceptor, Listener},
};

type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An entry with its listener and service. Nothing happens until it is awaited.
#[must_use = "an entry serves only while it is awaited"]
pub struct Serve<L, S> {
    entry: Entry,
    listener: L,
    service: S,
    signal: Option<BoxFuture>,
}

impl<L, S> Serve<L, S> {
    pub(super) fn new(entry: Entry, listener: L, service: S) -> Self {
        Self {
            entry,
            listener,
            service,
            signal: None,
        }
    }

    /// Stops when `signal` completes: is a [lame duck](Entry::lame_duck) for a while if it should, then accepts nothing more, tells every connection to finish what it has, and upgraded
    /// streams by the [`Stopping`] of their requests, waits for all of them until the [drain deadline](Entry::drain), and then cuts what is left.
    pub fn with_graceful_shutdown(mut self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        self.signal = Some(Box::pin(signal));
        self
    }
}

impl<L, S> fmt::Debug for Serve<L, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("entry", &self.entry)
            .finish_non_exhaustive()
    }
}

impl<L, S, B> IntoFuture for Serve<L, S>
where
    L: Listener,
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Output = ();
    type IntoFuture = ServeFuture;

    fn into_future(self) -> ServeFuture {
        ServeFuture(Box::pin(run(self)))
    }
}

/// Serves until the signal, then drains. Without a signal it never ends.
///
/// Dropping it stops accepting and cuts every connection, streams that were upgraded included. The drain's deadline does the
/// same.
#[must_use = "an entry serves only while it is awaited"]
pub struct ServeFuture(BoxFuture);

impl Future for ServeFuture {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for ServeFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeFuture").finish_non_exhaustive()
    }
}

async fn run<L, S, B>(serve: Serve<L, S>)
where
    L: Listener,
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let connections = Connections::new(serve.entry);
    connections.entry.security.watch();
    let mut acceptor = Acceptor::new(serve.listener);
    let signal = serve.signal.unwrap_or_else(|| Box::pin(std::future::pending()));
    let mut stop = pin!(async {
        signal.await;
        connections.leave().await;
    });
    loop {
        let next = async {
            let permit = connections.permit().await;
            (permit, acceptor.accept().await)
        };
        let (permit, (socket, peer)) = tokio::select! {
            biased;
            () = &mut stop => break,
            next = next => next,
        };
        connections.start(socket, peer, permit, serve.service.clone());
    }
    drop(acceptor);
    connections.drain().await;
}

/// Everything that the connections of one entry share.
struct Connections {
    entry: Arc<Entry>,
    shared: Shared,
    addresses: Addresses,
    permits: Arc<Semaphore>,
    tracker: TaskTracker,
    leaving: CancellationToken,
    drain: CancellationToken,
    cut: CancellationToken,
}

impl Connections {
    fn new(entry: Entry) -> Self {
        Self {
            addresses: Addresses::new(entry.per_address.clone()),
            permits: Arc::new(Semaphore::new(entry.max_connections)),
            tracker: TaskTracker::new(),
            leaving: CancellationToken::new(),
            drain: CancellationToken::new(),
            cut: CancellationToken::new(),
            shared: Shared::new(&entry.extensions),
            entry: Arc::new(entry),
        }
    }

    async fn permit(&self) -> OwnedSemaphorePermit {
        let permits = Arc::clone(&self.permits);
        permits
            .acquire_owned()
            .await
            .expect("the semaphore is never closed")
    }

    fn start<T, S, B>(&self, socket: T, peer: PeerInfo, permit: OwnedSemaphorePermit, service: S)
    where
        T: crate::net::Socket,
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let Some(place) = self.addresses.take(peer.addr.map(|addr| addr.ip())) else {
            tracing::debug!(peer = ?peer.addr, "an address has all of its connections");
            return refuse(socket);
        };
        let held = Held {
            _permit: permit,
            _place: place,
            _tracked: self.tracker.token(),
        };
        // Tokens of their own, so that connections do not meet at one lock each time they are polled.
        let (drain, cut) = (self.drain.child_token(), self.cut.child_token());
        let leaving = self.leaving.child_token();
        let (entry, shared) = (Arc::clone(&self.entry), self.shared.clone());
        tokio::spawn(Turns::new(async move {
            // Here and not where connections are accepted, so that one that dawdles keeps nobody waiting.
            let secured = tokio::select! {
                biased;
                secured = entry.security.handshake(socket, peer) => secured,
                () = drain.cancelled() => return,
            };
            let Some((socket, peer)) = secured else { return };
            let stopping = {
                let drain = drain.clone();
                Stopping::new(move || Box::pin(Woken::new(drain.clone().cancelled_owned())))
            };
            let (abort, usage, activity) = (AbortFlag::default(), UseFlag::default(), Activity::new());
            let times = SocketTimes::of(&entry, &socket);
            let io = EntryIo::new(socket, times, abort.clone(), Some(held))
                .used_as(usage.clone())
                .cut_by(cut.clone())
                .in_turns(entry.in_turns);
            let service = EntryService {
                inner: RefCell::new(service),
                shared,
                peer,
                stopping,
                abort,
                usage,
                activity: activity.clone(),
                body_idle: entry.body_idle,
                calls_idle: entry.calls_idle,
            };
            let codec = entry.codec(StreamExecutor::new(entry.send_timeout, activity.clone()));
            let ends = connection::Ends {
                activity,
                idle: entry.idle,
                leaving,
                drain,
                cut,
            };
            drop(entry);
            connection::run(codec, io, service, ends).await;
        }));
    }

    /// Is a lame duck, for as long as it should.
    async fn leave(&self) {
        let time = self.entry.lame_duck;
        if !time.is_zero() {
            tracing::info!(?time, "clients are told to go elsewhere");
            self.leaving.cancel();
            sleep(time).await;
        }
    }

    async fn drain(&self) {
        self.drain.cancel();
        self.tracker.close();
        if timeout(self.entry.drain, self.tracker.wait()).await.is_err() {
            tracing::warn!(
                left = self.tracker.len(),
                "cutting connections at the drain's deadline"
            );
        }
    }
}

/// Ends a connection that there is no place for.
fn refuse(mut socket: impl crate::net::Socket) {
    socket.abort();
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.drain.cancel();
        self.cut.cancel();
    }
}
