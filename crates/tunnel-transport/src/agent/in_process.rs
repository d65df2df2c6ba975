//! Upgrades for services that speak hyper's contract: they take [`OnUpgrade`] out of the request's extensions, answer 101, and
//! then find the connection in it. axum's `WebSocketUpgrade` is one.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Empty;
use hyper::{body::Incoming, client, server, service::service_fn, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;
use tunnel_core::{BoxError, Cause, Initiator, TunnelError, admit::UpgradeRequest};

use crate::{
    agent::{
        ServedRequest,
        pipe::{Pipe, pipe},
    },
    net::UpgradedIo,
};

/// What each direction of an upgraded stream stores inside this process, in bytes; nothing while it is empty.
const PIPE: usize = 16 * 1024;

/// The stream of a service that was upgraded.
pub(super) type Stream = UpgradedIo<Pipe, ()>;

type Outcome = Result<Stream, TunnelError>;

/// The protocol that the two ends in this process switch to. Nobody else sees it.
const PROTOCOL: &str = "in-process";

/// One exchange on a connection inside this process, between hyper and hyper: nobody else can make an [`OnUpgrade`].
///
/// Its request has been read and waits for its answer. Dropping this drops the connection, and the [`OnUpgrade`] fails.
pub(super) struct Offer<F> {
    connection: std::pin::Pin<Box<F>>,
    grant: oneshot::Sender<()>,
}

/// An offer, and what the service is given of it.
pub(super) async fn offer() -> Result<(Offer<impl Future<Output = Outcome>>, OnUpgrade), TunnelError> {
    let (give, mut given) = oneshot::channel();
    let (grant, granted) = oneshot::channel();
    let mut connection = Box::pin(connect(give, granted));
    let on_upgrade = tokio::select! {
        biased;
        on_upgrade = &mut given => on_upgrade.map_err(failed)?,
        // It waits for the grant until it is dropped, so this is a failure.
        ended = connection.as_mut() => return Err(ended.err().unwrap_or_else(|| failed("it ended early"))),
    };
    Ok((Offer { connection, grant }, on_upgrade))
}

impl<F: Future<Output = Outcome>> Offer<F> {
    /// The service has answered 101: the other end of what it finds in its [`OnUpgrade`].
    pub(super) async fn grant(self) -> Outcome {
        // The receiver lives as long as the connection.
        let _ = self.grant.send(());
        self.connection.await
    }
}

/// Runs both ends, until the answer is there and both are upgraded.
async fn connect(give: oneshot::Sender<OnUpgrade>, granted: oneshot::Receiver<()>) -> Outcome {
    let (near, far) = pipe(PIPE);
    let once = Mutex::new(Some((give, granted)));
    let service = service_fn(move |mut request: Request<Incoming>| {
        let once = once.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move {
            let (give, granted) = once.ok_or_else(|| failed("a second request"))?;
            let _ = give.send(hyper::upgrade::on(&mut request));
            granted.await.map_err(failed)?;
            let mut response = Response::new(Empty::<Bytes>::new());
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            set_fields(response.headers_mut(), HeaderValue::from_static(PROTOCOL));
            Ok::<_, TunnelError>(response)
        }
    });
    let server = server::conn::http1::Builder::new()
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(far), service)
        .with_upgrades();
    let client = client::conn::http1::handshake(TokioIo::new(near)).await;
    let (mut sender, client) = client.map_err(failed)?;
    let mut request = Request::new(Empty::<Bytes>::new());
    set_fields(request.headers_mut(), HeaderValue::from_static(PROTOCOL));
    let (server, client, response) =
        tokio::join!(server, client.without_shutdown(), sender.send_request(request));
    server.map_err(failed)?;
    response.map_err(failed)?;
    let client = client.map_err(failed)?;
    Ok(UpgradedIo::new(client.io.into_inner(), client.read_buf, ()))
}

fn failed(source: impl Into<BoxError>) -> TunnelError {
    TunnelError::internal("no stream could be made for an upgrade").with_source(source)
}

/// Makes a request as a service that speaks hyper's contract expects it: as it came to a server of HTTP/1.1.
pub(super) fn prepare(request: &mut ServedRequest, on_upgrade: OnUpgrade) {
    if let Some(UpgradeRequest { protocol }) = request.extensions().get().cloned() {
        set_fields(request.headers_mut(), protocol);
    }
    request.extensions_mut().insert(on_upgrade);
}

fn set_fields(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, protocol);
}

/// The service's end of the stream failed.
pub(super) fn broken() -> TunnelError {
    TunnelError::new(Cause::Upstream, Initiator::Peer, "the service broke off")
}

/// The service answered 101, and has read the request's body, which is none of hyper's contract.
pub(super) fn mixed_contracts() -> TunnelError {
    TunnelError::new(
        Cause::BadUpgrade,
        Initiator::Peer,
        "the service answered an upgrade in two ways",
    )
}
