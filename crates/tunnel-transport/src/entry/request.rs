use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tunnel_core::{BoxError, Cause, Initiator, TunnelError, route::BodyIdle};

use crate::entry::idle::Idle;

/// The body of a request, as an entry gives it to its service.
///
/// It is hyper's, but for one thing: hyper takes a client's reset of its stream with NO_ERROR for the end of the body,
/// wherever it comes. That code makes sense from a server only (RFC 9113, section 8.1), and a request that it cuts short
/// must not look complete: this body then fails with a [`TunnelError`] of
/// [`Cause::Canceled`](tunnel_core::Cause::Canceled). And it fails with [`Cause::BodyIdle`](tunnel_core::Cause::BodyIdle)
/// when somebody waits for its next piece for longer than [`BodyIdle`] allows. All other errors are those of hyper.
pub struct RequestBody {
    /// None if there is none. Boxed, because most requests have none, and each is moved through all layers.
    open: Option<Box<Open>>,
}

/// What is left of a body.
struct Open {
    incoming: Incoming,
    is_http2: bool,
    limit: Option<BodyIdle>,
    idle: Idle,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, version: http::Version, limit: Option<BodyIdle>) -> Self {
        let open = (!incoming.is_end_stream()).then(|| {
            Box::new(Open {
                incoming,
                is_http2: version == http::Version::HTTP_2,
                limit,
                idle: Idle::new(None),
            })
        });
        Self { open }
    }
}

impl Open {
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<TunnelError> {
        let Some(limit) = &self.limit else {
            return Poll::Pending;
        };
        self.idle.set_limit(limit.get());
        ready!(self.idle.poll_over(cx));
        let text = "the body of the request made no progress for too long";
        Poll::Ready(TunnelError::new(Cause::BodyIdle, Initiator::Caller, text))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(open) = &mut self.open else {
            return Poll::Ready(None);
        };
        let Poll::Ready(frame) = Pin::new(&mut open.incoming).poll_frame(cx) else {
            return open.poll_idle(cx).map(|error| Some(Err(error.into())));
        };
        open.idle.moved();
        match frame {
            // It is true after END_STREAM, and stays so if the client resets the stream after that.
            None if open.is_http2 && !open.incoming.is_end_stream() => {
                let reset = h2::Error::from(h2::Reason::NO_ERROR);
                Poll::Ready(Some(Err(TunnelError::canceled().with_source(reset).into())))
            }
            frame => Poll::Ready(frame.map(|frame| frame.map_err(Into::into))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.open
            .as_ref()
            .is_none_or(|open| open.incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.open {
            Some(open) => open.incoming.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody")
            .field("complete", &self.is_end_stream())
            .finish_non_exhaustive()
    }
}
