use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response};
use http_body::Body;
use tower_service::Service;
use tunnel_core::{
    ExchangeRequest, ExchangeResponse, Protocol, Record, RequestHead, Routed, Session, TraceId, TunnelBody,
    TunnelError, body::Chunked,
};

use super::ResponseFuture;

/// Turns requests into exchanges; see the [module](super).
#[derive(Clone, Debug)]
pub struct Chunk<S> {
    inner: S,
}

impl<S> Chunk<S> {
    /// Hands exchanges to `inner`.
    pub const fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S, B> Service<Request<B>> for Chunk<S>
where
    B: Body<Data = Bytes>,
    S: Service<ExchangeRequest<Chunked<B>>, Response = ExchangeResponse>,
    S::Error: From<TunnelError>,
{
    type Response = Response<TunnelBody>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match to_exchange(request) {
            Ok(exchange) => ResponseFuture::new(self.inner.call(exchange)),
            Err(error) => ResponseFuture::failed(error),
        }
    }
}

fn to_exchange<B>(request: Request<B>) -> Result<ExchangeRequest<Chunked<B>>, TunnelError> {
    let (mut parts, body) = request.into_parts();
    let session = parts.extensions.remove::<Session>().ok_or_else(|| {
        TunnelError::internal(
            "no session was chosen: put BalanceLayer, or a layer that inserts a Session, outside ChunkLayer",
        )
    })?;
    #[cfg(feature = "deadline")]
    crate::grpc_timeout::refresh(&mut parts);
    let trace_id = trace_id(&parts.headers);
    let rule = parts.extensions.get().map(|routed: &Routed| routed.rule.clone());
    let record = parts.extensions.remove::<Record>();
    let head = RequestHead::from_parts(parts)?;
    let protocol = Protocol::of_head(&head);
    let body = Chunked::new(body, session.max_chunk());
    Ok(ExchangeRequest {
        session,
        protocol,
        head,
        body,
        trace_id,
        rule,
        record,
    })
}

/// The trace id in `traceparent`, if there is one (W3C Trace Context, section 3.2).
fn trace_id(headers: &HeaderMap) -> Option<TraceId> {
    static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
    TraceId::from_text(headers.get(&TRACEPARENT)?.as_bytes().get(3..35)?)
}
