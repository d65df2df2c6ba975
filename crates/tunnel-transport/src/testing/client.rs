//! A client outside.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header, uri::Authority};
use http_body::Body;
use http_body_util::{BodyExt as _, Empty, combinators::UnsyncBoxBody};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::DuplexStream;
use tower_service::Service;
use tunnel_core::BoxError;

/// The host of requests that name none.
pub const DEFAULT_HOST: &str = "tunnel.test";

/// One connection to the gateway's port for the outside: a service of requests with any body.
///
/// A request needs no more than a path; [`DEFAULT_HOST`] stands for a host that it does not name. Over HTTP/1.1 there is one request
/// at a time. Dropping it lets the connection end when its last answer has.
pub struct Client(Sender);

enum Sender {
    Http1(http1::SendRequest<ClientBody>),
    Http2(http2::SendRequest<ClientBody>),
}

type ClientBody = UnsyncBoxBody<Bytes, BoxError>;

/// The future of [`Client`]. Dropping it gives the request up.
pub type ResponseFuture = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

impl Client {
    pub(super) async fn http1(io: DuplexStream) -> hyper::Result<Self> {
        let (sender, connection) = http1::handshake(TokioIo::new(io)).await?;
        drop(tokio::spawn(connection.with_upgrades()));
        Ok(Self(Sender::Http1(sender)))
    }

    pub(super) async fn http2(io: DuplexStream) -> hyper::Result<Self> {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await?;
        drop(tokio::spawn(connection));
        Ok(Self(Sender::Http2(sender)))
    }

    /// Sends a request, when the connection is ready for it.
    ///
    /// # Errors
    ///
    /// The connection broke, or the request was reset before its answer came.
    pub async fn send<B>(&mut self, request: Request<B>) -> hyper::Result<Response<Incoming>>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        poll_fn(|cx| Service::<Request<B>>::poll_ready(self, cx)).await?;
        self.call(request).await
    }

    /// The status and the whole body that a GET gets.
    ///
    /// # Panics
    ///
    /// If `path` is none, the connection breaks, or the body is no text.
    pub async fn get(&mut self, path: &str) -> (StatusCode, String) {
        let request = Request::get(path)
            .body(Empty::<Bytes>::new())
            .expect("a path is asked for");
        let response = self.send(request).await.expect("an answer comes");
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .expect("the body comes to its end");
        let text = String::from_utf8(body.to_bytes().to_vec()).expect("the body is a text");
        (status, text)
    }
}

impl<B> Service<Request<B>> for Client
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        match &mut self.0 {
            Sender::Http1(sender) => sender.poll_ready(cx),
            Sender::Http2(sender) => sender.poll_ready(cx),
        }
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
        match &mut self.0 {
            Sender::Http1(sender) => Box::pin(sender.send_request(with_host(request))),
            Sender::Http2(sender) => Box::pin(sender.send_request(with_authority(request))),
        }
    }
}

/// HTTP/1.1 names the host in a field.
fn with_host(mut request: Request<ClientBody>) -> Request<ClientBody> {
    if !request.headers().contains_key(header::HOST) {
        let host = request.uri().authority().map_or(DEFAULT_HOST, Authority::as_str);
        // An authority is made of what values may have.
        if let Ok(host) = HeaderValue::from_str(host) {
            request.headers_mut().insert(header::HOST, host);
        }
    }
    request
}

/// HTTP/2 names it in the target.
fn with_authority(mut request: Request<ClientBody>) -> Request<ClientBody> {
    if request.uri().authority().is_none() {
        let field = request.headers_mut().remove(header::HOST);
        let host = field.as_ref().and_then(|host| host.to_str().ok());
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let uri = format!("http://{}{path}", host.unwrap_or(DEFAULT_HOST));
        if let Ok(uri) = uri.parse::<Uri>() {
            *request.uri_mut() = uri;
        }
    }
    request
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Sender::Http1(_) => "Client(HTTP/1.1)",
            Sender::Http2(_) => "Client(HTTP/2)",
        })
    }
}
