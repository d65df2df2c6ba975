//! Exchanges that ask to switch protocols: the request's body is no content, but what follows the 101.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header, response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Empty, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;
use tunnel_core::{
    BoxError, TunnelError, admit,
    upgrade::{ByteStream, Relay, StreamClaim, Switched, accept_key, split},
};

use crate::{
    net::UpgradedIo,
    upstream::{
        UpstreamBody,
        body::{Exchange, On},
        error,
        failed::Failed,
        gate::Gate,
        h1::{Http1Pool, HyperIo},
        h2c::H2cPool,
        node::{Node, Pool},
        place::Place,
        request,
        service::{Inner, Kind, finish},
        tasks::Tasks,
        upload::Upload,
    },
};

/// What an endpoint said to an upgrade, and the connection or stream of it.
pub(super) type Asked = (Response<Incoming>, Ask);

/// Where an upgrade was asked for.
pub(super) struct Ask {
    on: On,
    place: Place,
}

impl Ask {
    pub(super) const fn new(on: On, place: Place) -> Self {
        Self { on, place }
    }
}

impl Inner {
    /// Asks the upstream to switch to `protocol`, on a connection of HTTP/1.1 that is made for it, or on a stream of HTTP/2.
    /// Either counts against the bound of the connections, or of a connection's streams, until both directions are over.
    pub(super) async fn upgrade<B>(
        &self,
        request: Request<B>,
        protocol: HeaderValue,
    ) -> Result<Response<UpstreamBody>, TunnelError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (mut parts, client) = request.into_parts();
        StreamClaim::make(&mut parts.extensions);
        let gate = Gate::new(false);
        let timeout = self.settings.continue_timeout;
        let nothing = Upload::new(Empty::<Bytes>::new(), gate.clone(), timeout);
        let request = Request::from_parts(parts, nothing);
        let key = request.headers().get(header::SEC_WEBSOCKET_KEY).cloned();
        let (mut response, Ask { on, mut place }) = match &self.kind {
            Kind::Lone(lone) => lone.ask(request, &protocol).await?,
            Kind::Many(cluster) => cluster.ask(request, &protocol).await?,
        };
        place.answered(response.status(), response.headers());
        let tasks = Arc::clone(&place.member().tasks);
        match on {
            On::Alone(alone) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                switched_http1(response, (alone.into_permit(), place), client, &tasks).await
            }
            On::Http2(slot) if response.status() == StatusCode::OK => {
                grant(response.headers_mut(), protocol, key.as_ref());
                switched_http2(response, (slot, place), client, &tasks).await
            }
            On::Http2(_) if response.status().is_success() => Err(error::bad_upgrade(
                "the upstream answered an upgrade over HTTP/2 with a status other than 200",
            )),
            on => Ok(finish(response, Exchange::new(gate, on, Some(place)))),
        }
    }
}

impl Node {
    /// Asks for an upgrade.
    pub(super) async fn ask(
        &self,
        mut request: Request<Upload>,
        protocol: &HeaderValue,
    ) -> Result<(Response<Incoming>, On), Failed> {
        let preserve_host = self.settings.preserve_host;
        self.note(&request);
        match self.pool.for_upgrades() {
            ForUpgrades::Http1(pool) => {
                request::for_http1(&mut request, &self.target, preserve_host);
                request::upgrade_http1(&mut request, protocol.clone());
                let (response, alone) = pool.send_alone(request).await?;
                Ok((response, On::Alone(alone)))
            }
            ForUpgrades::Http2(pool) => {
                request::for_http2(&mut request, &self.target, preserve_host)?;
                request::upgrade_http2(&mut request, protocol)?;
                let (response, slot) = pool.send(request).await?;
                Ok((response, On::Http2(slot)))
            }
        }
    }
}

/// The pool that takes upgrades.
enum ForUpgrades<'a> {
    Http1(&'a Http1Pool),
    Http2(&'a Arc<H2cPool>),
}

impl Pool {
    fn for_upgrades(&self) -> ForUpgrades<'_> {
        match self {
            Self::Http1(pool) => ForUpgrades::Http1(pool),
            Self::H2c(pool) => ForUpgrades::Http2(pool),
            // Every server of WebSocket speaks HTTP/1.1, and few take it over HTTP/2, whatever else they choose by ALPN.
            #[cfg(feature = "tls")]
            Self::Negotiated(pools) => ForUpgrades::Http1(pools.http1()),
        }
    }
}

async fn switched_http1<B, G>(
    mut response: Response<Incoming>,
    held: G,
    client: B,
    tasks: &Tasks,
) -> Result<Response<UpstreamBody>, TunnelError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    G: Send + Unpin + 'static,
{
    let upgraded = hyper::upgrade::on(&mut response).await.map_err(error::broken)?;
    let parts = upgraded
        .downcast::<HyperIo>()
        .map_err(|_| TunnelError::internal("an upgraded connection to the upstream is not ours"))?;
    let io = parts.io.into_inner().into_inner().into_inner();
    let stream = UpgradedIo::new(io, parts.read_buf, held);
    Ok(switched(response.into_parts().0, stream, client, tasks))
}

async fn switched_http2<B, G>(
    mut response: Response<Incoming>,
    held: G,
    client: B,
    tasks: &Tasks,
) -> Result<Response<UpstreamBody>, TunnelError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    G: Send + Unpin + 'static,
{
    let upgraded = hyper::upgrade::on(&mut response).await.map_err(error::broken)?;
    let stream = UpgradedIo::new(TokioIo::new(upgraded), Bytes::new(), held);
    Ok(switched(response.into_parts().0, stream, client, tasks))
}

/// What a 101 says, and a 200 to CONNECT need not (RFC 8441, section 5.1).
fn grant(headers: &mut HeaderMap, protocol: HeaderValue, key: Option<&HeaderValue>) {
    headers.insert(header::UPGRADE, protocol);
    if let Some(key) = key {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept_key(key.as_bytes()));
    }
}

/// The 101. What `client` sends goes to the upstream as long as both live.
fn switched<B, T>(mut parts: response::Parts, stream: T, client: B, tasks: &Tasks) -> Response<UpstreamBody>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    T: ByteStream,
{
    parts.status = StatusCode::SWITCHING_PROTOCOLS;
    admit::clean_response(&mut parts);
    parts.extensions.insert(Switched);
    let (body, writer) = split(stream);
    let body = body.failing_as(error::cut_short());
    let relay = tokio::spawn(Relay::new(client, writer));
    tasks.add(relay.abort_handle());
    let body = SwitchedBody {
        body: body.boxed_unsync(),
        relay: Some(relay.abort_handle()),
    };
    Response::from_parts(parts, UpstreamBody::switched(body))
}

/// What the upstream sends after its 101.
pub(super) struct SwitchedBody {
    body: UnsyncBoxBody<Bytes, TunnelError>,
    /// What sends the opposite direction, until this one is over: then it goes on by itself.
    relay: Option<AbortHandle>,
}

impl SwitchedBody {
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TunnelError>>> {
        let frame = std::task::ready!(std::pin::Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() {
            self.relay = None;
        }
        Poll::Ready(frame)
    }

    pub(super) fn is_over(&self) -> bool {
        self.relay.is_none()
    }
}

impl Drop for SwitchedBody {
    fn drop(&mut self) {
        // Nobody hears the upstream any more. The writer goes with the task, and takes the connection along.
        if let Some(relay) = &self.relay {
            relay.abort();
        }
    }
}
