use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use tower_service::Service;
use tunnel_core::{
    BoxError, TunnelError,
    admit::{self, UpgradeRequest},
};

use crate::upstream::{
    InvalidUpstream, ResponseFuture, UpstreamBody, UpstreamBuilder, UpstreamProtocol,
    body::{Exchange, On},
    builder::Settings,
    dial::Connector,
    gate::Gate,
    h1::Http1Pool,
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
    H2c(Arc<H2cPool>),
}

impl Upstream {
    /// An upstream that speaks HTTP/1.1, with the default settings.
    ///
    /// # Errors
    ///
    /// If the address is not `http://HOST` or `http://HOST:PORT`.
    pub fn http1(uri: impl Into<String>) -> Result<Self, InvalidUpstream> {
        Self::builder(uri).build()
    }

    /// An upstream that speaks HTTP/2 without TLS, with the default settings.
    ///
    /// # Errors
    ///
    /// If the address is not `http://HOST` or `http://HOST:PORT`.
    pub fn h2c(uri: impl Into<String>) -> Result<Self, InvalidUpstream> {
        Self::builder(uri).protocol(UpstreamProtocol::H2c).build()
    }

    /// The settings of the upstream at this address, such as `http://127.0.0.1:3000`.
    pub fn builder(uri: impl Into<String>) -> UpstreamBuilder {
        UpstreamBuilder::new(uri.into())
    }

    pub(super) fn new(target: Target, protocol: UpstreamProtocol, settings: Settings) -> Self {
        let connector = Connector::tcp(&target, settings.dial_timeout);
        let pool = match protocol {
            UpstreamProtocol::Http1 => Pool::Http1(Http1Pool::new(connector, &settings)),
            UpstreamProtocol::H2c => Pool::H2c(H2cPool::new(connector, &settings)),
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
        mut request: Request<Upload>,
        gate: Gate,
    ) -> Result<Response<UpstreamBody>, TunnelError> {
        let preserve_host = self.settings.preserve_host;
        let (response, on) = match &self.pool {
            Pool::Http1(pool) => {
                request::for_http1(&mut request, &self.target, preserve_host);
                let (response, lease) = pool.send(request).await.map_err(|error| gate.blame(error))?;
                (response, On::Http1(lease))
            }
            Pool::H2c(pool) => {
                request::for_http2(&mut request, &self.target, preserve_host)?;
                let (response, slot) = pool.send(request).await.map_err(|error| gate.blame(error))?;
                (response, On::Http2(slot))
            }
        };
        gate.answered(response.status());
        Ok(finish(response, Exchange::new(gate, on)))
    }
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
        let waits = request::expects_continue(request.headers()) && !request.body().is_end_stream();
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
        ResponseFuture::new(async move { inner.exchange(request, gate).await })
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
