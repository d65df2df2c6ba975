use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use pin_project::pin_project;
use tower_service::Service;
use tunnel_core::{
    BoxError, TunnelError,
    admit::{self, UpgradeRequest},
};

use crate::upstream::{
    InvalidUpstream, ResponseFuture, UpstreamBody, UpstreamBuilder, UpstreamEndpoint, UpstreamProtocol,
    body::{Content, Exchange, On},
    builder::Settings,
    cluster::Cluster,
    failed::Failed,
    gate::Gate,
    h1::{Answered, Given, Http1Pool},
    line::OpenCount,
    lone::Lone,
    node::{Node, Pool},
    place::Place,
    request,
    tasks::Tasks,
    upload::Upload,
};

/// One upstream and the connections to its servers. Clones share them. The module has the promises.
///
/// It is always ready: what has to wait for a connection waits inside the future.
#[derive(Clone)]
pub struct Upstream(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) settings: Arc<Settings>,
    pub(super) kind: Kind,
    pub(super) tasks: Arc<Tasks>,
    open: OpenCount,
}

pub(super) enum Kind {
    /// One endpoint, of which nothing is asked but to take requests.
    Lone(Box<Lone>),
    Many(Arc<Cluster>),
}

impl Upstream {
    /// An upstream that speaks HTTP/1.1, with the default settings.
    ///
    /// # Errors
    ///
    /// As for [`UpstreamBuilder::build`].
    pub fn http1(uri: impl Into<String>) -> Result<Self, InvalidUpstream> {
        Self::builder(uri).protocol(UpstreamProtocol::Http1).build()
    }

    /// An upstream that speaks HTTP/2 without TLS, with the default settings.
    ///
    /// # Errors
    ///
    /// If the address is not `http://HOST`, `http://HOST:PORT` or `unix:PATH`.
    pub fn h2c(uri: impl Into<String>) -> Result<Self, InvalidUpstream> {
        Self::builder(uri).protocol(UpstreamProtocol::H2c).build()
    }

    /// The settings of the upstream at this address, such as `http://127.0.0.1:3000`, `https://app.example.com` or
    /// `unix:/run/app.sock`. More endpoints may be [added](UpstreamBuilder::endpoint).
    pub fn builder(uri: impl Into<String>) -> UpstreamBuilder {
        UpstreamBuilder::new().endpoint(UpstreamEndpoint::new(uri))
    }

    /// The settings of an upstream of several endpoints.
    pub fn balanced(endpoints: impl IntoIterator<Item = UpstreamEndpoint>) -> UpstreamBuilder {
        let builder = UpstreamBuilder::new();
        endpoints.into_iter().fold(builder, UpstreamBuilder::endpoint)
    }

    pub(super) fn new(settings: Arc<Settings>, kind: Kind, tasks: Arc<Tasks>, open: OpenCount) -> Self {
        Self(Arc::new(Inner {
            settings,
            kind,
            tasks,
            open,
        }))
    }

    /// Starts what runs beside requests: look-ups of names, health checks, [first
    /// connections](UpstreamBuilder::initial_connections). The first request does so, too; what is called twice does nothing.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn start(&self) {
        match &self.0.kind {
            Kind::Lone(lone) => lone.start(),
            Kind::Many(cluster) => cluster.start(),
        }
    }

    /// Takes nothing new: requests fail with [`Cause::Draining`](tunnel_core::Cause::Draining) before anything of them was sent.
    /// Connections without an exchange close at once, the others when theirs is over.
    pub fn close(&self) {
        match &self.0.kind {
            Kind::Lone(lone) => lone.close(),
            Kind::Many(cluster) => cluster.close(),
        }
    }

    /// [Closes](Self::close) it, and cuts every connection, those of upgraded exchanges included.
    pub fn abort(&self) {
        self.close();
        self.0.tasks.abort();
    }

    /// The connections that are open, those of upgraded exchanges and of health checks included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.0.open.get()
    }

    #[cfg(test)]
    pub(super) fn open_count(&self) -> OpenCount {
        self.0.open.clone()
    }
}

/// What an idle connection was given, and its pool.
type OnIdle<F> = (Given<F>, Arc<Http1Pool>);

impl Node {
    /// The way that most exchanges go: over HTTP/1.1, on a connection that is idle. None of it has to wait, so that the request
    /// goes to the connection at once, and through no future. Gives the request back if there is none.
    #[expect(
        clippy::result_large_err,
        reason = "the request goes on, and a box would be paid for by each that finds no idle connection"
    )]
    pub(super) fn on_idle(
        &self,
        mut request: Request<Upload>,
    ) -> Result<OnIdle<impl Future<Output = Answered> + Send + use<>>, Request<Upload>> {
        let Pool::Http1(pool) = &self.pool else {
            return Err(request);
        };
        let Some(lease) = pool.take_idle(&request) else {
            return Err(request);
        };
        self.note(&request);
        request::for_http1(&mut request, &self.target, self.settings.preserve_host);
        Ok((lease.give(request), Arc::clone(pool)))
    }
}

/// An exchange on a connection that was idle. Written by hand, because a future of the compiler would keep what it is made of beside
/// what it waits for.
#[pin_project(project = OnIdleProj)]
#[allow(
    clippy::large_enum_variant,
    reason = "most exchanges are of the larger variant, and it is boxed as a whole"
)]
pub(super) enum OnIdleFuture<F> {
    Given {
        #[pin]
        given: Given<F>,
        /// Until the answer is there.
        held: Option<(Arc<Http1Pool>, Gate, Place)>,
    },
    /// The connection could not do it alone.
    Later(ResponseFuture),
}

impl<F: Future<Output = Answered>> Future for OnIdleFuture<F> {
    type Output = Result<Response<UpstreamBody>, TunnelError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let later = match self.as_mut().project() {
                OnIdleProj::Later(later) => return Pin::new(later).poll(cx),
                OnIdleProj::Given { given, held } => {
                    let answered = ready!(given.poll(cx));
                    let Some((pool, gate, place)) = held.take() else {
                        return Poll::Pending;
                    };
                    match answered {
                        Ok((response, lease)) => {
                            return Poll::Ready(answer(Ok((response, On::Http1(lease))), gate, place));
                        }
                        Err(later) => ResponseFuture::new(async move {
                            let sent = pool.go_on(*later).await;
                            answer(
                                sent.map(|(response, lease)| (response, On::Http1(lease))),
                                gate,
                                place,
                            )
                        }),
                    }
                }
            };
            self.set(Self::Later(later));
        }
    }
}

pub(super) fn answer(
    sent: Result<(Response<Content>, On), Failed>,
    gate: Gate,
    mut place: Place,
) -> Result<Response<UpstreamBody>, TunnelError> {
    let (response, on) = match sent {
        Ok(sent) => sent,
        Err(failed) => {
            let error = gate.blame(failed.error);
            place.fail(&error);
            return Err(error);
        }
    };
    gate.answered(response.status());
    place.answered(response.status(), response.headers());
    Ok(finish(response, Exchange::new(gate, on, Some(place))))
}

/// The response of an exchange that has not switched protocols.
pub(super) fn finish(response: Response<impl Into<Content>>, exchange: Exchange) -> Response<UpstreamBody> {
    let (mut parts, content) = response.into_parts();
    let content = content.into();
    // A 101 keeps its fields: they are what it says.
    if matches!(content, Content::Incoming(_)) && parts.status != StatusCode::SWITCHING_PROTOCOLS {
        admit::clean_response(&mut parts);
    }
    Response::from_parts(parts, UpstreamBody::new(content, exchange))
}

impl<B> Service<Request<B>> for Upstream
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<UpstreamBody>;
    type Error = TunnelError;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TunnelError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let inner = Arc::clone(&self.0);
        if let Some(UpgradeRequest { protocol }) = request.extensions().get().cloned() {
            return ResponseFuture::new(async move { inner.upgrade(request, protocol).await });
        }
        let has_body = !request.body().is_end_stream();
        let waits = has_body && request::expects_continue(request.headers());
        let gate = if has_body { Gate::new(waits) } else { Gate::none() };
        let timeout = self.0.settings.continue_timeout;
        let mut request = request.map(|body| Upload::new(body, gate.clone(), timeout));
        if waits {
            let gate = gate.clone();
            hyper::ext::on_informational(&mut request, move |response| {
                if response.status() == StatusCode::CONTINUE {
                    gate.open();
                }
            });
        }
        match &inner.kind {
            Kind::Lone(lone) => {
                if inner.settings.initial_connections > 0 {
                    lone.start();
                }
                lone.call(request, gate)
            }
            Kind::Many(cluster) => cluster.call(request, gate),
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("Upstream");
        match &self.0.kind {
            Kind::Lone(lone) => f.field("authority", &lone.node().target.authority),
            Kind::Many(_) => f.field("endpoints", &self.endpoints()),
        };
        f.field("settings", &self.0.settings).finish_non_exhaustive()
    }
}
