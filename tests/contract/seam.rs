//! The two layers where the type changes, each around a probe.

use std::{
    fmt::Debug,
    future::{Ready, poll_fn, ready},
    task::{Context, Poll},
};

use axum::extract::Request as AppRequest;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use tokio::sync::watch;
use tower::{Layer as _, Service, ServiceBuilder, ServiceExt as _, service_fn};
use tunnel_core::{
    Cause, Enqueue, ExchangeRequest, ExchangeResponse, Initiator, Outgoing, RequestId, ResponseHead, Session,
    TunnelBody, TunnelError,
};
use tunnel_layers::{
    balance::{BalanceLayer, RoundRobin},
    chunk::ChunkLayer,
    correlate::CorrelateLayer,
    trace_id::TraceIdLayer,
};
use tunnel_transport::TunnelTransport;

use crate::{
    body::{SECRET, TestBody},
    http::{assert_silent, request},
};
use tunnel_tests::pair::{Fixed, Pair, pair};

/// Becomes ready at the second poll, and panics when it is called before; its clones are not ready.
#[derive(Debug, Default)]
struct Probe {
    polls: usize,
}

impl Clone for Probe {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Probe {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TunnelError>> {
        self.polls += 1;
        if self.polls < 2 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn assert_ready(&mut self) {
        assert!(self.polls >= 2, "called without having become ready");
        self.polls = 0;
    }
}

/// Answers exchanges with their own size.
#[derive(Clone, Debug, Default)]
struct Exchanges(Probe);

impl<B> Service<ExchangeRequest<B>> for Exchanges {
    type Response = ExchangeResponse;
    type Error = TunnelError;
    type Future = Ready<Result<ExchangeResponse, TunnelError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TunnelError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, _: ExchangeRequest<B>) -> Self::Future {
        self.0.assert_ready();
        let headers = HeaderMap::from_iter([(
            "set-cookie".parse().expect("a name"),
            SECRET.parse().expect("a value"),
        )]);
        let head = ResponseHead {
            upgrade: None,
            status: StatusCode::OK,
            headers,
        };
        let id = RequestId::from_parts(0, rand::random());
        ready(Ok(ExchangeResponse {
            id,
            head,
            body: TunnelBody::empty(),
        }))
    }
}

/// A transport that minds its readiness.
#[derive(Clone, Debug, Default)]
struct Minding(Probe);

impl Service<Outgoing> for Minding {
    type Response = ();
    type Error = TunnelError;
    type Future = Enqueue;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TunnelError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, outgoing: Outgoing) -> Enqueue {
        self.0.assert_ready();
        outgoing.enqueue()
    }
}

fn echo() -> Pair {
    let app = axum::Router::new().fallback(async |request: AppRequest| Response::new(request.into_body()));
    pair("echo", app)
}

/// A request that was admitted, for this session.
async fn admitted(session: &Session) -> Request<TestBody> {
    let (kept, admit) = (std::sync::Mutex::new(None), TraceIdLayer::new());
    let keep = service_fn(|request: Request<TestBody>| {
        *kept.lock().expect("nobody panics with it") = Some(request);
        ready(Ok::<_, TunnelError>(Response::new(String::new())))
    });
    admit
        .layer(keep)
        .oneshot(request())
        .await
        .expect("it is admitted");
    let mut request = kept
        .into_inner()
        .expect("nobody panics with it")
        .expect("it came through");
    request.extensions_mut().insert(session.clone());
    request
}

fn assert_shareable<T: Clone + Send + Sync + Debug + 'static>(_: &T) {}
fn assert_send<T: Send + 'static>(_: &T) {}

#[tokio::test]
async fn chunk_keeps_the_contract() {
    let pair = echo();
    let mut chunk = ChunkLayer::new().layer(Exchanges::default());
    assert_shareable(&ChunkLayer::new());
    assert_shareable(&chunk);
    assert_silent(&chunk);
    for _ in 0..3 {
        poll_fn(|cx| Service::<Request<TestBody>>::poll_ready(&mut chunk, cx))
            .await
            .expect("it becomes ready");
        let mut other = chunk.clone();
        let call = chunk.call(admitted(&pair.gateway).await);
        assert_send(&call);
        assert_silent(&call);
        let answer = call.await.expect("an answer");
        assert_eq!(answer.headers()["set-cookie"], SECRET);
        assert_silent(answer.body());
        poll_fn(|cx| Service::<Request<TestBody>>::poll_ready(&mut other, cx))
            .await
            .expect("it becomes ready");
        other
            .call(admitted(&pair.gateway).await)
            .await
            .expect("an answer");
    }
}

#[tokio::test]
async fn chunk_refuses_what_nobody_admitted_or_chose() {
    let pair = echo();
    let chunk = ChunkLayer::new().layer(Exchanges::default());
    let mut unadmitted = request();
    unadmitted.extensions_mut().insert(pair.gateway.clone());
    let error = chunk
        .clone()
        .oneshot(unadmitted)
        .await
        .expect_err("it was not admitted");
    assert_eq!(error.cause(), Cause::Internal);
    let mut unchosen = admitted(&pair.gateway).await;
    unchosen.extensions_mut().remove::<Session>();
    let error = chunk.oneshot(unchosen).await.expect_err("no session was chosen");
    assert_eq!(error.cause(), Cause::Internal);
}

#[tokio::test]
async fn correlate_keeps_the_contract() {
    let pair = echo();
    let correlate = CorrelateLayer::new().layer(Minding::default());
    assert_shareable(&CorrelateLayer::new());
    assert_shareable(&correlate);
    assert_silent(&correlate);
    let stack = ChunkLayer::new().layer(correlate);
    for _ in 0..3 {
        // More than one chunk: each message has to wait for the transport.
        let body = vec![b'x'; 3 * pair.gateway.max_chunk() + 1];
        let request = admitted(&pair.gateway)
            .await
            .map(|_| Full::new(Bytes::from(body.clone())));
        let call = stack.clone().oneshot(request);
        assert_send(&call);
        let answer = call.await.expect("an answer");
        assert_silent(answer.body());
        assert_eq!(
            answer
                .into_body()
                .collect()
                .await
                .expect("a whole body")
                .to_bytes(),
            body
        );
    }
    poll_fn(|cx| pair.gateway.poll_idle(cx)).await;
    assert_eq!(pair.gateway.pending(), 0);
}

/// Counts what is alive.
struct Alive(watch::Sender<usize>);

impl Alive {
    fn new(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count.clone())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[tokio::test]
async fn dropping_the_future_or_the_body_drops_the_far_ends_work() {
    let alive = watch::Sender::new(0);
    let counter = alive.clone();
    let app = service_fn(move |request: Request<TunnelBody>| {
        let alive = Alive::new(&counter);
        async move {
            if request.uri().path() == "/path" {
                std::future::pending::<()>().await;
            }
            let body = TestBody::hanging().map_frame(move |frame| {
                let _ = &alive;
                frame
            });
            Ok::<_, TunnelError>(Response::new(body))
        }
    });
    let pair = pair("app", app);
    let stack = ChunkLayer::new().layer(CorrelateLayer::new().layer(TunnelTransport::new()));
    let mut seen = alive.subscribe();

    let mut call = tokio_test::task::spawn(stack.clone().oneshot(admitted(&pair.gateway).await));
    while *seen.borrow() == 0 {
        assert!(call.poll().is_pending());
        tokio::task::yield_now().await;
    }
    drop(call);
    seen.wait_for(|count| *count == 0)
        .await
        .expect("the sender lives");

    let mut other = admitted(&pair.gateway).await;
    *other.uri_mut() = "http://demo.example/body".parse().expect("a valid URI");
    let mut answer = stack.oneshot(other).await.expect("an answer").into_body();
    answer.frame().await.expect("a frame").expect("no error");
    assert_eq!(*seen.borrow(), 1);
    drop(answer);
    seen.wait_for(|count| *count == 0)
        .await
        .expect("the sender lives");
    for session in [&pair.gateway, &pair.agent] {
        poll_fn(|cx| session.poll_idle(cx)).await;
        assert_eq!(session.pending(), 0);
    }
}

#[tokio::test]
async fn a_session_without_a_lane_or_that_drains_gets_nothing() {
    let name = |name: &'static str| axum::Router::new().fallback(async move || name);
    let pairs = ["a", "b", "c"].map(|agent| pair(agent, name(agent)));
    let lost = TunnelError::new(Cause::AgentLost, Initiator::Peer, "lost");
    let stack = ServiceBuilder::new()
        .layer(BalanceLayer::new(
            Fixed::new(pairs.iter().map(|pair| &pair.gateway)),
            RoundRobin::new(),
        ))
        .layer(ChunkLayer::new())
        .layer(CorrelateLayer::new())
        .service(TunnelTransport::new());
    let ask = || async {
        let answer = stack.clone().oneshot(request()).await.expect("an answer");
        let cause = answer.headers().get("x-tunnel-error").cloned();
        let text = answer
            .into_body()
            .collect()
            .await
            .expect("a whole body")
            .to_bytes();
        cause.map_or(text, |cause| Bytes::copy_from_slice(cause.as_bytes()))
    };
    pairs[0].gateway.lose_lane(&pairs[0].lane, &lost);
    pairs[1].gateway.drain();
    for _ in 0..6 {
        assert_eq!(ask().await, "c");
    }
    // One that has been lost between the choice and the call is as good as unsent: another takes it.
    pairs[2].gateway.close(&lost);
    assert_eq!(ask().await, "no-agent");
}

#[tokio::test]
async fn what_goes_between_the_two_layers_prints_no_secrets() {
    let pair = echo();
    let see = service_fn(|request: ExchangeRequest<_>| {
        assert_silent(&request.head);
        ready(Err::<ExchangeResponse, _>(TunnelError::canceled()))
    });
    let error = ChunkLayer::new()
        .layer(see)
        .oneshot(admitted(&pair.gateway).await)
        .await;
    assert_silent(&error.expect_err("the inner service fails"));
    let see = service_fn(|outgoing: Outgoing| {
        assert_silent(&outgoing);
        let call = outgoing.enqueue();
        assert_silent(&call);
        call
    });
    let stack = ChunkLayer::new().layer(CorrelateLayer::new().layer(see));
    let answer = stack
        .oneshot(admitted(&pair.gateway).await)
        .await
        .expect("an answer");
    assert_silent(&answer.into_body());
    assert_silent(&pair);
}
