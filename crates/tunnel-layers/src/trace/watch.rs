//! What an exchange does to its span, until it ends.

use std::{any::Any, sync::Arc, task::Poll};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use tunnel_core::{
    AsTunnelError, BoxError, Found, Lifetime, Record, TunnelError, admit::UpgradeRequest, trace::SpanKind,
};

use super::{TraceSpan, words};
use crate::reject::Dialect;

/// Follows one exchange from its request to its end, and ends the span with it. When it is dropped before, the exchange was given up.
pub(crate) struct Watch {
    span: TraceSpan,
    /// Where layers further in note what they find out.
    record: Record,
    /// How often the request had been sent before.
    attempts: u32,
    /// Shared with the lifetime of a request that asks for an upgrade.
    upgrade: Option<Arc<EndsSpan>>,
    is_grpc: bool,
    is_head: bool,
    is_connect: bool,
    /// The bytes of the body that are still to come, if that is known.
    left: Option<u64>,
    bytes: u64,
    is_over: bool,
}

/// Ends a span with the last of those who share it.
struct EndsSpan(TraceSpan);

impl Drop for EndsSpan {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Watch {
    /// Follows what becomes of `request`.
    pub(crate) fn new<B>(span: TraceSpan, request: &mut Request<B>) -> Box<Self> {
        let record = Record::of(request.extensions_mut());
        let asks_upgrade = request.extensions().get::<UpgradeRequest>().is_some();
        let upgrade = asks_upgrade.then(|| {
            let ends = Arc::new(EndsSpan(span.clone()));
            Lifetime::of(request.extensions_mut()).hold(ends.clone());
            ends
        });
        Box::new(Self {
            span,
            attempts: record.look(|found| found.attempts),
            record,
            upgrade,
            is_grpc: Dialect::of(request.headers()) == Dialect::Grpc,
            is_head: request.method() == Method::HEAD,
            is_connect: request.method() == Method::CONNECT,
            left: None,
            bytes: 0,
            is_over: false,
        })
    }

    /// The head of the answer is there. None if that was all.
    pub(crate) fn answered<B: Body>(mut self: Box<Self>, response: &Response<B>) -> Option<Box<Self>> {
        self.span.end_stage();
        let status = response.status();
        self.span.set(words::STATUS_CODE, status.as_u16());
        let error = response.extensions().get::<TunnelError>();
        if let Some(error) = error {
            self.span.set(words::ERROR, error.cause().word());
        }
        if self.is_grpc {
            self.grpc_ended(response.headers(), error);
        }
        self.http_answered(status, error);
        if self.has_switched(status) {
            // The stream goes on behind the response, and the span with it.
            self.tell_found();
            self.is_over = true;
            return None;
        }
        let body = response.body();
        let has_none = self.is_head || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if has_none || body.is_end_stream() {
            self.complete();
            return None;
        }
        self.left = body.size_hint().exact();
        Some(self)
    }

    /// There is no answer, but this error.
    pub(crate) fn failed(&mut self, error: &dyn Any) {
        self.fail_by(error, "the exchange failed");
        self.over();
    }

    /// The request was answered by whoever watches.
    pub(crate) fn refused(&mut self, error: &TunnelError, status: StatusCode) {
        self.span.set(words::STATUS_CODE, status.as_u16());
        self.span.set(words::ERROR, error.cause().word());
        if !self.is_grpc {
            self.http_answered(status, Some(error));
        }
        self.over();
    }

    /// What polling the body gave; whether that was the end.
    pub(crate) fn saw<E>(
        &mut self,
        frame: &Poll<Option<Result<Frame<Bytes>, E>>>,
        is_end_stream: bool,
        as_any: impl FnOnce(&E) -> Option<&dyn Any>,
    ) -> bool {
        match frame {
            Poll::Pending => return false,
            Poll::Ready(None) => self.complete(),
            Poll::Ready(Some(Err(error))) => {
                self.fail_by(as_any(error).unwrap_or(&()), "the body broke off");
                self.over();
            }
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    let len = data.len() as u64;
                    self.bytes += len;
                    self.left = self.left.map(|left| left.saturating_sub(len));
                }
                if let Some(trailers) = frame.trailers_ref()
                    && self.is_grpc
                {
                    self.grpc_ended(trailers, None);
                }
                // Who has all bytes that were promised may not ask for more.
                if is_end_stream || self.left == Some(0) {
                    self.complete();
                }
            }
        }
        self.is_over
    }

    /// Whether the answer is the beginning of a stream of another protocol.
    fn has_switched(&self, status: StatusCode) -> bool {
        let granted = status == StatusCode::SWITCHING_PROTOCOLS || self.is_connect && status.is_success();
        self.upgrade.is_some() && granted
    }

    fn http_answered(&self, status: StatusCode, error: Option<&TunnelError>) {
        let first_bad = match self.span.kind() {
            SpanKind::Client => 400,
            SpanKind::Server | SpanKind::Internal => 500,
        };
        if status.as_u16() < first_bad {
            return;
        }
        match error {
            Some(error) => self.span.fail(error.cause().word(), error.message().to_owned()),
            None => self.span.fail(status.as_str().to_owned(), ""),
        }
    }

    /// The status of a call, if this is where it stands.
    fn grpc_ended(&self, fields: &HeaderMap, error: Option<&TunnelError>) {
        let Some(code) = words::grpc_status(fields) else {
            return;
        };
        self.span.set(words::RPC_STATUS, code.name());
        let is_bad = match self.span.kind() {
            SpanKind::Client => code.is_error(),
            SpanKind::Server | SpanKind::Internal => code.is_fault_of_server(),
        };
        if is_bad {
            match error {
                Some(error) => self.span.fail(error.cause().word(), error.message().to_owned()),
                None => self.span.fail(code.name(), ""),
            }
        }
    }

    fn fail_by(&self, error: &dyn Any, text: &'static str) {
        let found = match error.downcast_ref::<TunnelError>() {
            None => error
                .downcast_ref::<BoxError>()
                .and_then(AsTunnelError::as_tunnel_error),
            found => found,
        };
        match found {
            Some(error) => {
                self.span.set(words::ERROR, error.cause().word());
                self.span.fail(error.cause().word(), error.message().to_owned());
            }
            None => self.span.fail(words::OTHER, text),
        }
    }

    /// What was found out further in.
    fn tell_found(&self) {
        let was_sent = |found: &Found| found.attempts > self.attempts;
        self.record
            .look(|found| words::found(&self.span, found, was_sent(found)));
    }

    fn complete(&mut self) {
        self.span.set(words::BODY_SIZE, self.bytes);
        self.over();
    }

    fn over(&mut self) {
        self.is_over = true;
        self.tell_found();
        self.span.end();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.is_over {
            self.span.set(words::CANCELED, true);
            self.over();
        }
    }
}
