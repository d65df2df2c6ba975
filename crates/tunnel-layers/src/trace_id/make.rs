use http::HeaderMap;

use crate::trace_context::{SpanId, TraceId};

/// Makes ids for traces that begin here, and for our steps in them. A closure from the request's headers to a [`TraceId`]
/// is one.
pub trait MakeTraceId {
    /// The id of a trace that begins with a request with these headers.
    fn trace_id(&self, headers: &HeaderMap) -> TraceId;

    /// The id of our step; random unless said otherwise.
    fn span_id(&self) -> SpanId {
        loop {
            if let Some(id) = SpanId::new(rand::random()) {
                return id;
            }
        }
    }

    /// Whether the ids of new traces are random in their right half, so that `traceparent` may say so.
    fn is_random(&self) -> bool {
        false
    }
}

impl<F: Fn(&HeaderMap) -> TraceId> MakeTraceId for F {
    fn trace_id(&self, headers: &HeaderMap) -> TraceId {
        self(headers)
    }
}

/// Random ids, from the generator of the thread. The default.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct RandomTraceId;

impl MakeTraceId for RandomTraceId {
    fn trace_id(&self, _: &HeaderMap) -> TraceId {
        loop {
            if let Some(id) = TraceId::new(rand::random()) {
                return id;
            }
        }
    }

    fn is_random(&self) -> bool {
        true
    }
}
