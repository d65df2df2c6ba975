//! Requests through a session, as the innermost layers make them.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, uri::Scheme};
use http_body::Body;
use http_body_util::{BodyExt as _, Empty, Full};
use tunnel_core::{
    BoxError, Protocol, Pump, RecvHalf, RequestHead, RequestId, ResponseHead, Session, Start, TunnelBody,
    TunnelError, message::RequestStart,
};
use tunnel_transport::TunnelTransport;

/// The head of a request for `path`, which begins with `/`.
///
/// # Panics
///
/// If `path` is none.
#[must_use]
pub fn request(method: Method, path: &str) -> RequestHead {
    RequestHead {
        upgrade: None,
        method,
        scheme: Scheme::HTTP,
        authority: Some("demo.example".parse().expect("a valid authority")),
        path: path.parse().expect("a valid path"),
        headers: HeaderMap::new(),
    }
}

/// Adds a field to a head.
#[must_use]
pub fn with_header(mut head: RequestHead, name: &'static str, value: &'static str) -> RequestHead {
    let (name, value) = (HeaderName::from_static(name), HeaderValue::from_static(value));
    head.headers.append(name, value);
    head
}

/// An exchange that has been opened, and whose answer has not come yet.
#[derive(Debug)]
pub struct Pending {
    recv: RecvHalf,
}

impl Pending {
    /// The id of the exchange, as it stands on the wire.
    #[must_use]
    pub fn id(&self) -> RequestId {
        self.recv.id()
    }

    /// Waits for the head of the answer.
    ///
    /// # Errors
    ///
    /// Why there will be none.
    pub async fn answer(mut self) -> Result<(ResponseHead, TunnelBody), TunnelError> {
        let head = std::future::poll_fn(|cx| self.recv.poll_head(cx)).await?;
        let body = TunnelBody::new(self.recv, &head.headers);
        Ok((head, body))
    }
}

/// Opens an exchange and begins to send the request; its body flows whatever becomes of the answer.
///
/// # Errors
///
/// The session takes none.
pub fn open<B>(session: &Session, head: RequestHead, body: B) -> Result<Pending, TunnelError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let is_eager = body.is_end_stream() || !head.expects_continue();
    let protocol = Protocol::of_head(&head);
    let (credit, send, recv) = session.open(protocol, head.upgrade.as_deref(), is_eager)?;
    let start = Start::Request(Box::new(RequestStart {
        head,
        data: Bytes::new(),
        end: None,
        credit,
        trace_id: None,
    }));
    let pump = Pump::new(start, body, send, TunnelTransport::new());
    // Whatever it fails with reaches the receiving half as well.
    session.spawn(Box::pin(async move { drop(pump.await) }));
    Ok(Pending { recv })
}

/// Makes a request and waits for the head of the answer.
///
/// # Errors
///
/// The session takes none, or the exchange fails.
pub async fn call<B>(
    session: &Session,
    head: RequestHead,
    body: B,
) -> Result<(ResponseHead, TunnelBody), TunnelError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    open(session, head, body)?.answer().await
}

/// Opens `GET path`.
///
/// # Panics
///
/// If the session takes no exchange.
#[must_use]
pub fn get(session: &Session, path: &str) -> Pending {
    open(session, request(Method::GET, path), Empty::new()).expect("the session takes an exchange")
}

/// Opens `POST path` with a body that is there already.
///
/// # Panics
///
/// If the session takes no exchange.
#[must_use]
pub fn post(session: &Session, path: &str, body: impl Into<Bytes>) -> Pending {
    let body = Full::new(body.into());
    open(session, request(Method::POST, path), body).expect("the session takes an exchange")
}

/// The whole of a body.
///
/// # Errors
///
/// The body broke off.
pub async fn collect(body: TunnelBody) -> Result<Bytes, TunnelError> {
    Ok(body.collect().await?.to_bytes())
}
