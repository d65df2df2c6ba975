//! One exchange at the end that serves it, which is an agent, or a gateway for what agents ask: from the head of the request to the end of the response.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use pin_project::pin_project;
use tower_service::Service;
use tracing::debug;
use tunnel_core::{
    Accepted, BoxError, Cause, Initiator, Lifetime, Pump, Record, RequestId, ResetReason, ResponseHead,
    SendClosed, SendHalf, Start, TunnelBody, TunnelError,
    message::ResponseStart,
    upgrade::{Relay, Switched, split},
};

use super::logged::Logged;
use crate::{TunnelTransport, agent::in_process};

/// The request that an agent's service gets.
///
/// Of one that asks for an upgrade, [`tunnel_core::upgrade`] says what it may do with the body. A service that speaks hyper's
/// contract instead, such as axum's `WebSocketUpgrade`, finds what it needs as well: an [`OnUpgrade`](hyper::upgrade::OnUpgrade) in
/// the extensions, `Connection` and `Upgrade`.
pub type ServedRequest = Request<TunnelBody>;

/// A service that an agent can serve: any `tower::Service` of requests whose body is a [`TunnelBody`], with any body of
/// bytes in its response. An axum `Router` is one, so are tonic's `Routes` and [`Upstream`](crate::Upstream).
///
/// You do not implement this; it is implemented for every such service.
pub trait AgentService: Clone + Send + 'static {
    /// Handles one exchange to its end.
    fn handle(self, accepted: Accepted) -> impl Future<Output = ()> + Send + 'static;
}

impl<S, B> AgentService for S
where
    S: Service<ServedRequest, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn handle(self, accepted: Accepted) -> impl Future<Output = ()> + Send + 'static {
        Logged::new(accepted, |accepted| handle(self, accepted))
    }
}

/// Neither the request nor the response is kept while something is waited for: this future is made, and moved, for every
/// exchange.
#[allow(
    clippy::manual_async_fn,
    reason = "an `async fn` would keep its arguments beside what they are moved to"
)]
fn handle<S, B>(
    mut service: S,
    accepted: Accepted,
) -> impl Future<Output = Result<(), TunnelError>> + Send + 'static
where
    S: Service<ServedRequest, Response = Response<B>> + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    async move {
        if accepted.head.upgrade.is_some() {
            // Boxed, because few exchanges are upgrades, and this future is larger.
            return Box::pin(upgrade(service, accepted)).await;
        }
        // Most services are ready at once, and then nobody has to be asked whether the other end is still there.
        let is_ready = poll_fn(|cx| match service.poll_ready(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Called::Answered(())),
            Poll::Ready(Err(error)) => Poll::Ready(Called::Failed(into_tunnel_error(error.into()))),
            Poll::Pending => poll_over(&accepted.send, cx).map(Called::Over),
        })
        .await;
        match is_ready {
            Called::Answered(()) => {}
            Called::Failed(error) => return Err(fail(accepted.send, error)),
            Called::Over(result) => return result,
        }
        let is_head = accepted.head.method == Method::HEAD;
        let Accepted {
            id, head, send, recv, ..
        } = accepted;
        let body = TunnelBody::new(recv, &head.headers);
        let called = match head.into_request_parts_of(send.session()) {
            Ok(mut parts) => {
                parts.extensions.insert(id);
                let answer = pin!(service.call(Request::from_parts(parts, body)));
                unless_closed(&send, answer).await
            }
            Err(error) => Called::Failed(error),
        };
        let pump = match called {
            Called::Answered(response) => respond(id, response, is_head, send)?,
            Called::Failed(error) => return Err(fail(send, error)),
            Called::Over(result) => return result,
        };
        pump.await
    }
}

/// An exchange that asks to switch protocols. The service may speak the tunnel's [contract](tunnel_core::upgrade), as
/// [`Upstream`](crate::Upstream) does, or hyper's, as axum does; or refuse.
async fn upgrade<S, B>(mut service: S, accepted: Accepted) -> Result<(), TunnelError>
where
    S: Service<ServedRequest, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let Accepted {
        id, head, send, recv, ..
    } = accepted;
    let (body, claim, loan) = TunnelBody::lent(recv);
    let mut parts = match head.into_request_parts() {
        Ok(parts) => parts,
        Err(error) => return Err(fail(send, error)),
    };
    parts.extensions.insert(id);
    parts.extensions.insert(claim);
    // Layers around the service do not see a stream that it takes by hyper's contract, and hold what lives as long here.
    let _lifetime = Lifetime::of(&mut parts.extensions);
    let record = Record::of(&mut parts.extensions);
    let mut request = Request::from_parts(parts, body);
    let (offer, on_upgrade) = match in_process::offer().await {
        Ok(offer) => offer,
        Err(error) => return Err(fail(send, error)),
    };
    in_process::prepare(&mut request, on_upgrade);
    let called = {
        let answer = pin!(answer(&mut service, request));
        unless_closed(&send, answer).await
    };
    let response = match called {
        Called::Answered(response) => response,
        Called::Failed(error) => return Err(fail(send, error)),
        Called::Over(result) => return result,
    };
    let is_switched = response.extensions().get::<Switched>().is_some();
    if is_switched || response.status() != StatusCode::SWITCHING_PROTOCOLS {
        drop((offer, loan));
        return respond(id, response, false, send)?.await;
    }
    let (stream, client) = match (offer.grant().await, loan.reclaim()) {
        (Ok(stream), Some(client)) => (stream, client),
        (Ok(_), None) => return Err(fail(send, in_process::mixed_contracts())),
        (Err(error), _) => return Err(fail(send, error)),
    };
    let (body, writer) = split(stream);
    let body = body.failing_as(in_process::broken()).map_frame({
        let record = record.clone();
        move |frame| {
            record.add_sent(frame.data_ref().map_or(0, Bytes::len));
            frame
        }
    });
    let client = client.map_frame(move |frame| {
        record.add_received(frame.data_ref().map_or(0, Bytes::len));
        frame
    });
    let mut down = pin!(respond(id, response.map(|_| body), false, send)?);
    let mut up = pin!(Relay::new(client, writer));
    tokio::select! {
        ended = &mut down => {
            // One direction may end long before the other one. A failure takes both.
            ended?;
            up.await;
            Ok(())
        }
        () = &mut up => down.await,
    }
}

/// How a call of the service ended.
enum Called<R> {
    Answered(R),
    Failed(TunnelError),
    /// The other end gave up first.
    Over(Result<(), TunnelError>),
}

async fn answer<S: Service<ServedRequest>>(
    service: &mut S,
    request: ServedRequest,
) -> Result<S::Response, S::Error> {
    poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(request).await
}

/// Waits for what the service answers. Its work is dropped, by the caller, when the other end has given up.
async fn unless_closed<R, E: Into<BoxError>>(
    send: &SendHalf,
    mut answer: Pin<&mut impl Future<Output = Result<R, E>>>,
) -> Called<R> {
    poll_fn(|cx| {
        if let Poll::Ready(over) = poll_over(send, cx) {
            return Poll::Ready(Called::Over(over));
        }
        Poll::Ready(match ready!(answer.as_mut().poll(cx)) {
            Ok(response) => Called::Answered(response),
            Err(error) => Called::Failed(into_tunnel_error(error.into())),
        })
    })
    .await
}

/// Ready when the other end has given up.
fn poll_over(send: &SendHalf, cx: &mut Context<'_>) -> Poll<Result<(), TunnelError>> {
    send.poll_closed(cx).map(|closed| match closed {
        SendClosed::Failed(error) => Err(error),
        SendClosed::Stopped => Ok(()),
    })
}

/// What carries the response to its end.
fn respond<B>(
    id: RequestId,
    response: Response<B>,
    is_head: bool,
    send: SendHalf,
) -> Result<Pump<AnswerBody<B>, TunnelTransport>, TunnelError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (parts, body) = response.into_parts();
    debug!(request.id = %id, status = parts.status.as_u16(), "answered");
    let head = match ResponseHead::from_parts(parts) {
        Ok(head) => head,
        Err(error) => return Err(fail(send, error)),
    };
    let has_none = is_head || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let start = Start::Response(Box::new(ResponseStart {
        head,
        data: Bytes::new(),
        end: None,
    }));
    let body = AnswerBody {
        inner: body,
        has_none,
    };
    Ok(Pump::new(start, body, send, TunnelTransport::new()))
}

fn fail(send: SendHalf, error: TunnelError) -> TunnelError {
    send.reset(ResetReason::from_error(&error), &error);
    error
}

fn into_tunnel_error(error: BoxError) -> TunnelError {
    match TunnelError::find(&*error) {
        Some(found) => found.clone(),
        None => TunnelError::new(Cause::Internal, Initiator::Peer, "the service failed").with_source(error),
    }
}

/// A response's body, left out where HTTP has none (RFC 9110, sections 6.4.1 and 9.3.2) whatever the service gave.
#[pin_project]
struct AnswerBody<B> {
    #[pin]
    inner: B,
    has_none: bool,
}

impl<B: Body> Body for AnswerBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        if *this.has_none {
            Poll::Ready(None)
        } else {
            this.inner.poll_frame(cx)
        }
    }

    fn is_end_stream(&self) -> bool {
        self.has_none || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.has_none {
            SizeHint::with_exact(0)
        } else {
            self.inner.size_hint()
        }
    }
}
