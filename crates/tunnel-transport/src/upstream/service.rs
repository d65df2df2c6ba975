use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use pin_project::pin_project;
use tower_service::Service;
use tunnel_core::{
    BoxError, TunnelError,
    admit::{self, UpgradeRequest},
};

#[cfg(feature = "tls")]
use crate::upstream::negotiated::Negotiated;
use crate::upstream::{
    InvalidUpstream, ResponseFuture, UpstreamBody, UpstreamBuilder, UpstreamProtocol,
    body::{Exchange, On},
    builder::Settings,
    dial::Connector,
    gate::Gate,
    h1::{Answered, Http1Pool, Lease},
    h2c::H2cPool,
    request,
    target::Target,
    upload::Upload,
};

/// One upstream server and the connections to it. Clones share them. The module has the promises.
///
/// It is always ready: what has to wait for a connection waits inside the future.
#[derive(Clone)]
pub struct Upstream(Arc<Inner>);

pub(super) struct Inner {
    pub(super) target: Target,
    pub(super) settings: Settings,
    pub(super) pool: Pool,
}

pub(super) enum Pool {
    Http1(Arc<Http1Pool>),
    /// HTTP/2, with TLS or without.
    H2c(Arc<H2cPool>),
    #[cfg(feature = "tls")]
    Negotiated(Negotiated),
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
    /// If the address is not `http://HOST` or `http://HOST:PORT`.
    pub fn h2c(uri: impl Into<String>) -> Result<Self, InvalidUpstream> {
        Self::builder(uri).protocol(UpstreamProtocol::H2c).build()
    }

    /// The settings of the upstream at this address, such as `http://127.0.0.1:3000` or `https://app.example.com`.
    pub fn builder(uri: impl Into<String>) -> UpstreamBuilder {
        UpstreamBuilder::new(uri.into())
    }

    pub(super) fn new(
        target: Target,
        connector: Connector,
        protocol: UpstreamProtocol,
        settings: Settings,
    ) -> Self {
        let pool = match protocol {
            UpstreamProtocol::Http1 => Pool::Http1(Http1Pool::new(connector, &settings)),
            UpstreamProtocol::H2c => Pool::H2c(H2cPool::new(connector, &settings)),
            #[cfg(feature = "tls")]
            UpstreamProtocol::Http2 => Pool::H2c(H2cPool::new(connector.http2(), &settings)),
            #[cfg(feature = "tls")]
            UpstreamProtocol::Negotiated => Pool::Negotiated(Negotiated::new(connector, &settings)),
        };
        Self(Arc::new(Inner {
            target,
            settings,
            pool,
        }))
    }
}

impl Inner {
    async fn exchange(
        &self,
        request: Request<Upload>,
        gate: Gate,
    ) -> Result<Response<UpstreamBody>, TunnelError> {
        let sent = match &self.pool {
            Pool::Http1(pool) => self.http1(pool, request).await,
            Pool::H2c(pool) => self.http2(pool, request).await,
            #[cfg(feature = "tls")]
            Pool::Negotiated(pools) => pools.send(self, request).await,
        };
        answer(sent, gate)
    }

    /// The way that most exchanges go: over HTTP/1.1, on a connection that is idle. None of it has to wait, so that the request
    /// goes to the connection at once, and through no future. Gives the request back if there is none.
    #[allow(
        clippy::result_large_err,
        reason = "it goes on to the other way, which takes it whole"
    )]
    fn on_idle(
        self: &Arc<Self>,
        mut request: Request<Upload>,
        gate: &Gate,
    ) -> Result<ResponseFuture, Request<Upload>> {
        let Pool::Http1(pool) = &self.pool else {
            return Err(request);
        };
        let Some(mut lease) = pool.take_idle() else {
            return Err(request);
        };
        request::for_http1(&mut request, &self.target, self.settings.preserve_host);
        let sent = lease.send(request);
        let held = Some((Arc::clone(pool), lease, gate.clone()));
        Ok(ResponseFuture::new(OnIdle::Sent { sent, held }))
    }

    pub(super) async fn http1(
        &self,
        pool: &Http1Pool,
        mut request: Request<Upload>,
    ) -> Result<(Response<Incoming>, On), TunnelError> {
        request::for_http1(&mut request, &self.target, self.settings.preserve_host);
        let (response, lease) = pool.send(request).await?;
        Ok((response, On::Http1(lease)))
    }

    pub(super) async fn http2(
        &self,
        pool: &H2cPool,
        mut request: Request<Upload>,
    ) -> Result<(Response<Incoming>, On), TunnelError> {
        request::for_http2(&mut request, &self.target, self.settings.preserve_host)?;
        let (response, slot) = pool.send(request).await?;
        Ok((response, On::Http2(slot)))
    }
}

/// An exchange on a connection that was idle. Written by hand, because a future of the compiler would keep what it is made of beside
/// what it waits for.
#[pin_project(project = OnIdleProj)]
enum OnIdle<F> {
    Sent {
        #[pin]
        sent: F,
        /// Until the answer is there.
        held: Option<(Arc<Http1Pool>, Lease, Gate)>,
    },
    /// The connection has failed it.
    Again(ResponseFuture),
}

impl<F: Future<Output = Answered>> Future for OnIdle<F> {
    type Output = Result<Response<UpstreamBody>, TunnelError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let again = match self.as_mut().project() {
                OnIdleProj::Again(again) => return Pin::new(again).poll(cx),
                OnIdleProj::Sent { sent, held } => {
                    let answered = ready!(sent.poll(cx));
                    let Some((pool, lease, gate)) = held.take() else {
                        return Poll::Pending;
                    };
                    match answered {
                        Ok(response) => {
                            return Poll::Ready(answer(Ok((response, On::Http1(lease))), gate));
                        }
                        Err(failed) => ResponseFuture::new(async move {
                            let sent = pool.again(failed, lease).await;
                            answer(sent.map(|(response, lease)| (response, On::Http1(lease))), gate)
                        }),
                    }
                }
            };
            self.set(Self::Again(again));
        }
    }
}

fn answer(
    sent: Result<(Response<Incoming>, On), TunnelError>,
    gate: Gate,
) -> Result<Response<UpstreamBody>, TunnelError> {
    let (response, on) = sent.map_err(|error| gate.blame(error))?;
    gate.answered(response.status());
    Ok(finish(response, Exchange::new(gate, on)))
}

/// The response of an exchange that has not switched protocols.
pub(super) fn finish(response: Response<Incoming>, exchange: Exchange) -> Response<UpstreamBody> {
    let (mut parts, incoming) = response.into_parts();
    // A 101 keeps its fields: they are what it says.
    if parts.status != StatusCode::SWITCHING_PROTOCOLS {
        admit::clean_response(&mut parts);
    }
    Response::from_parts(parts, UpstreamBody::new(incoming, exchange))
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
        let waits = !request.body().is_end_stream() && request::expects_continue(request.headers());
        let gate = Gate::new(waits);
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
        match inner.on_idle(request, &gate) {
            Ok(future) => future,
            Err(request) => ResponseFuture::new(async move { inner.exchange(request, gate).await }),
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("authority", &self.0.target.authority)
            .field("settings", &self.0.settings)
            .finish_non_exhaustive()
    }
}
