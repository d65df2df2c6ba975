use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Body;
use tower_service::Service;
use tunnel_core::{
    BoxError, ExchangeRequest, ExchangeResponse, Outgoing, Pump, Start, TunnelError, message::RequestStart,
};

use super::ResponseFuture;

/// Opens an exchange for each request; see the [module](super).
#[derive(Clone, Debug)]
pub struct Correlate<S> {
    inner: S,
}

impl<S> Correlate<S> {
    /// Writes the messages of exchanges to `inner`.
    pub const fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S, B> Service<ExchangeRequest<B>> for Correlate<S>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    S: Service<Outgoing, Response = ()> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    type Response = ExchangeResponse;
    type Error = TunnelError;
    type Future = ResponseFuture<B, S>;

    /// Always ready: the pump waits for the transport before each message.
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), TunnelError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: ExchangeRequest<B>) -> ResponseFuture<B, S> {
        let ExchangeRequest {
            session,
            protocol,
            head,
            body,
            trace_id,
            rule,
            record,
        } = request;
        let is_eager = body.is_end_stream() || !head.expects_continue();
        let is_head = head.method == http::Method::HEAD;
        let opened = session.open_for(rule, protocol, head.upgrade.as_deref(), is_eager);
        let (credit, send, recv) = match opened {
            Ok(opened) => opened,
            Err(error) => return ResponseFuture::failed(error),
        };
        if let Some(record) = record {
            record.note_opened(&session, recv.id());
        }
        let start = Start::Request(Box::new(RequestStart {
            head,
            data: Bytes::new(),
            end: None,
            credit,
            trace_id,
        }));
        ResponseFuture::new(Pump::new(start, body, send, self.inner.clone()), recv, is_head)
    }
}
