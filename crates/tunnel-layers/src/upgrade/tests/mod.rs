//! The layer between real servers of hyper and a far end that does what a test says.

mod http1;
mod http2;
mod refusals;
mod stacks;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header, request::Parts};
use http_body::Body;
use http_body_util::{
    BodyExt as _,
    channel::{Channel, Sender},
};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    sync::{mpsc, oneshot},
};
use tower::{Layer as _, Service, service_fn, util::BoxCloneSyncService};
use tunnel_core::{
    BoxError, BoxTask, Cause, Initiator, RequestId, Runtime, TunnelError,
    admit::UpgradeRequest,
    upgrade::{Switched, accept_key},
};

use super::*;
use crate::reject::ResponseBody;

/// tokio's tasks, counted.
#[derive(Clone, Debug, Default)]
struct Tasks(Arc<AtomicUsize>);

impl Tasks {
    /// Waits until none of them is left.
    async fn done(&self) {
        while self.0.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
    }
}

impl Runtime for Tasks {
    fn spawn(&self, task: BoxTask) {
        let count = self.0.clone();
        count.fetch_add(1, Ordering::SeqCst);
        drop(tokio::spawn(async move {
            task.await;
            count.fetch_sub(1, Ordering::SeqCst);
        }));
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn sleep_until(&self, at: Instant) -> BoxTask {
        Box::pin(tokio::time::sleep_until(at.into()))
    }

    fn request_id(&self, _: Instant) -> RequestId {
        RequestId::from_parts(0, [0; 10])
    }

    fn random(&self) -> [u8; 16] {
        rand::random()
    }
}

type Answer = Result<Response<Channel<Bytes, BoxError>>, TunnelError>;

/// A request as it came to the far end.
struct Call<B> {
    parts: Parts,
    body: UpgradeBody<B>,
    answer: oneshot::Sender<Answer>,
}

/// The calls that a far end gets.
type Calls<B> = mpsc::Receiver<Call<B>>;

/// What the far end says on the stream.
type Say = Sender<Bytes, BoxError>;

/// A service that a test answers for.
type Far<B> = BoxCloneSyncService<Request<UpgradeBody<B>>, Response<Channel<Bytes, BoxError>>, TunnelError>;

fn far<B: Send + 'static>() -> (Far<B>, Calls<B>) {
    let (sender, calls) = mpsc::channel(8);
    let service = service_fn(move |request: Request<UpgradeBody<B>>| {
        let sender = sender.clone();
        async move {
            let (parts, body) = request.into_parts();
            let (answer, answered) = oneshot::channel();
            let call = Call { parts, body, answer };
            let sent = sender.send(call).await;
            sent.map_err(|_| TunnelError::internal("the test is over"))?;
            answered.await.map_err(|_| TunnelError::canceled())?
        }
    });
    (BoxCloneSyncService::new(service), calls)
}

impl<B> Call<B> {
    /// Grants the upgrade as a WebSocket server does, with `change` to its answer.
    fn grant(self, change: impl FnOnce(&mut Response<Channel<Bytes, BoxError>>)) -> (Say, UpgradeBody<B>) {
        let (say, body) = Channel::new(8);
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let asked = self.parts.extensions.get::<UpgradeRequest>().expect("an upgrade");
        response
            .headers_mut()
            .insert(header::UPGRADE, asked.protocol.clone());
        if let Some(key) = self.parts.headers.get(header::SEC_WEBSOCKET_KEY) {
            let accept = accept_key(key.as_bytes());
            response
                .headers_mut()
                .insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        }
        response.extensions_mut().insert(Switched);
        change(&mut response);
        drop(self.answer.send(Ok(response)));
        (say, self.body)
    }

    /// Answers with this status and text.
    fn refuse(self, status: u16, text: &'static str) -> UpgradeBody<B> {
        let (mut say, body) = Channel::new(1);
        say.try_send(http_body::Frame::data(Bytes::from_static(text.as_bytes())))
            .expect("there is room");
        let response = Response::builder().status(status).body(body);
        drop(self.answer.send(Ok(response.expect("a valid response"))));
        self.body
    }
}

/// Serves HTTP/1.1 to the other side of the pipe.
fn serve_http1<S, RB>(service: S) -> DuplexStream
where
    S: Service<Request<Incoming>, Response = Response<RB>, Future: Send> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    RB: Body<Data = Bytes> + Send + 'static,
    RB::Error: Into<BoxError>,
{
    let (client, server) = tokio::io::duplex(64 * 1024);
    let service = TowerToHyperService::new(service);
    tokio::spawn(
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(server), service)
            .with_upgrades(),
    );
    client
}

fn layer(tasks: &Tasks) -> UpgradeLayer {
    UpgradeLayer::new().runtime(Arc::new(tasks.clone()))
}

/// A client of HTTP/1.1, and the far end behind the layer.
fn http1(tasks: &Tasks) -> (DuplexStream, Calls<Incoming>) {
    let (service, calls) = far();
    (serve_http1(layer(tasks).layer(service)), calls)
}

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The head of a WebSocket handshake.
fn handshake() -> String {
    format!(
        "GET /chat?x HTTP/1.1\r\nhost: example.com\r\nconnection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\nsec-websocket-protocol: a, b\r\n\r\n"
    )
}

/// The head of the next response, in lower case.
async fn head(client: &mut DuplexStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = client.read_u8().await.expect("a whole head");
        head.push(byte);
    }
    String::from_utf8(head).expect("a head is text").to_lowercase()
}

/// Everything until the server closes.
async fn rest(client: &mut DuplexStream) -> String {
    let mut rest = String::new();
    client.read_to_string(&mut rest).await.expect("text");
    rest
}

/// The next bytes that a body has.
async fn piece<B>(body: &mut B) -> Option<Result<Bytes, Cause>>
where
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
{
    let frame = body.frame().await?;
    Some(match frame {
        Ok(frame) => Ok(frame.into_data().expect("data")),
        Err(error) => Err(TunnelError::find(&*error).expect("one of ours").cause()),
    })
}

async fn say(sender: &mut Say, bytes: &'static [u8]) {
    sender
        .send_data(Bytes::from_static(bytes))
        .await
        .expect("somebody listens");
}
