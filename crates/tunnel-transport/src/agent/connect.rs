//! One HTTP/2 connection to the gateway, which never redials.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use http::{
    HeaderValue, Request, Response, StatusCode, Uri, Version,
    header::{CONTENT_TYPE, TE},
};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use tonic::{
    Status,
    body::Body,
    codec::{Codec, EncodeBody},
};
use tunnel_core::Direction;

use super::{AgentError, Shared, target::Place};
use crate::{
    codec::MAX_MESSAGE_BYTES,
    dispatch::{LaneCodec, LaneStream, LaneWriter, PROXY, outcome},
    generated::tunnel_service_client::TunnelServiceClient,
    net::{InTurns, MaybeTls, SocketOptions, Wire, windows},
};

/// The client of one connection, and the task that drives it. Dropping it closes the connection.
pub(super) struct Connection {
    pub(super) client: TunnelServiceClient<Http2>,
    pub(super) lanes: LaneClient,
    driver: Driver,
}

/// The task that drives a connection; aborted when this drops.
struct Driver(JoinHandle<()>);

impl Connection {
    /// Dials one address of a gateway, and does the handshakes of TLS and HTTP/2.
    pub(super) async fn dial(agent: &Shared, place: &Place) -> Result<Self, AgentError> {
        let origin = &place.target.uri;
        let deadline = Instant::now() + agent.connect_timeout;
        let dialled = timeout_at(deadline, dial(agent, place)).await;
        let stream = dialled
            .map_err(|_| {
                AgentError::connect(format!(
                    "no connection to {place} within {:?}",
                    agent.connect_timeout
                ))
            })?
            .map_err(|error| {
                AgentError::connect(format!("cannot connect to {place}: {error}")).with_source(error)
            })?;
        let stream = secure(agent, place, stream, deadline).await?;
        let handshake = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(windows::TUNNEL_STREAM_WINDOW)
            .initial_connection_window_size(windows::CONNECTION_WINDOW)
            .max_frame_size(windows::TUNNEL_MAX_FRAME)
            .max_send_buf_size(windows::TUNNEL_SEND_BUFFER)
            .keep_alive_interval(windows::PING_INTERVAL)
            .keep_alive_timeout(windows::PING_TIMEOUT)
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(InTurns::new(stream)))
            .await;
        let (sender, connection) = handshake.map_err(|error| {
            AgentError::connect(format!("{place} does not speak HTTP/2")).with_source(error)
        })?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection to the gateway broke");
            }
        });
        let lanes = LaneClient::new(sender.clone(), origin)?;
        let client = TunnelServiceClient::with_origin(Http2(sender), origin.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES);
        Ok(Self {
            client,
            lanes,
            driver: Driver(driver),
        })
    }

    /// Waits until what was written is gone and the connection has closed. All other clones of the client must be gone.
    pub(super) async fn closed(self) {
        let Self {
            client,
            lanes,
            mut driver,
        } = self;
        drop((client, lanes));
        // A task that was aborted has closed its connection as well.
        let _ = (&mut driver.0).await;
    }
}

/// What opens lanes on a connection. It does what the generated client would, but lanes are written and read by codecs of their own.
#[derive(Clone, Debug)]
pub(super) struct LaneClient {
    sender: SendRequest<Body>,
    uri: Uri,
}

impl LaneClient {
    fn new(sender: SendRequest<Body>, origin: &Uri) -> Result<Self, AgentError> {
        let uri = Uri::builder()
            .scheme(origin.scheme_str().unwrap_or("http"))
            .authority(origin.authority().map_or("", |authority| authority.as_str()))
            .path_and_query(PROXY)
            .build();
        let uri =
            uri.map_err(|error| AgentError::connect("the gateway's address is none").with_source(error))?;
        Ok(Self { sender, uri })
    }

    /// Calls `Proxy`: sends what `writer` gives, and returns what comes back.
    ///
    /// # Errors
    ///
    /// The connection is closed, or the gateway refused the call.
    pub(super) async fn open(&self, writer: LaneWriter) -> Result<LaneStream, Status> {
        let encoder = LaneCodec::new(Direction::ClientToServer).encoder();
        let mut request = Request::post(self.uri.clone());
        request = request.version(Version::HTTP_2);
        request = request.header(TE, HeaderValue::from_static("trailers"));
        request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        let body = Body::new(EncodeBody::new_client(encoder, writer, None, None));
        let request = request
            .body(body)
            .map_err(|error| Status::internal(error.to_string()))?;
        let mut sender = self.sender.clone();
        let closed = |error: hyper::Error| Status::unavailable(format!("the connection is closed: {error}"));
        sender.ready().await.map_err(closed)?;
        let response = sender.send_request(request).await.map_err(closed)?;
        outcome(response.headers())?;
        if response.status() != StatusCode::OK {
            return Err(Status::unknown(format!("HTTP status {}", response.status())));
        }
        Ok(LaneStream::new(response.into_body()))
    }
}

/// Makes the connection itself, by TCP or by what was put in its place.
async fn dial(agent: &Shared, place: &Place) -> io::Result<Wire> {
    if let Some(dialer) = &agent.dialer {
        return dialer.dial(&place.addr.ip().to_string(), place.addr.port()).await;
    }
    let stream = TcpStream::connect(place.addr).await?;
    if let Err(error) = SocketOptions::tunnel().apply(&stream) {
        tracing::debug!(%error, "socket options were refused");
    }
    Ok(Wire::Tcp(stream))
}

#[cfg(feature = "tls")]
async fn secure(
    agent: &Shared,
    place: &Place,
    stream: Wire,
    deadline: Instant,
) -> Result<MaybeTls<Wire>, AgentError> {
    let Some(tls) = &place.target.tls else {
        return Ok(MaybeTls::Plain(stream));
    };
    let host = place.target.uri.host().unwrap_or_default();
    let connecting = tls.connect(host, crate::tls::Alpn::Http2, stream);
    match timeout_at(deadline, connecting).await {
        Ok(Ok(stream)) => Ok(MaybeTls::Tls(Box::new(stream))),
        Ok(Err(error)) => {
            let text = format!("no TLS connection to {place}: {error}");
            Err(AgentError::connect(text).with_source(error))
        }
        Err(_) => {
            let text = format!("no TLS connection to {place} within {:?}", agent.connect_timeout);
            Err(AgentError::connect(text))
        }
    }
}

#[cfg(not(feature = "tls"))]
async fn secure(_: &Shared, _: &Place, stream: Wire, _: Instant) -> Result<MaybeTls<Wire>, AgentError> {
    Ok(MaybeTls::Plain(stream))
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A hyper connection as the service that a tonic client wants.
#[derive(Clone, Debug)]
pub(super) struct Http2(SendRequest<Body>);

/// hyper does not name the future of a request, hence the box: once for each stream of the tunnel.
type ResponseFuture = Pin<Box<dyn Future<Output = Result<Response<Incoming>, hyper::Error>> + Send>>;

impl tower_service::Service<Request<Body>> for Http2 {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> ResponseFuture {
        Box::pin(self.0.send_request(request))
    }
}
