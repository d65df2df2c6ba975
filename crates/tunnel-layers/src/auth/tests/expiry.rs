//! Exchanges that outlive the credentials that opened them.

use std::{
    pin::Pin,
    time::{Duration, SystemTime},
};

use http_body::Body;
use tokio::time::Instant;
use tunnel_core::{BoxError, route::Expiry};

use super::*;
use crate::test_util::Step;

const MINUTE: Duration = Duration::from_secs(60);

/// Callers whose credentials are valid for another minute.
fn for_a_minute() -> AuthLayer<impl Authenticator> {
    let layer = AuthLayer::new(auth_fn(async |_| {
        Ok(Principal::new("alice", "test").with_expiry(SystemTime::now() + MINUTE))
    }));
    layer.end_at_expiry(Duration::ZERO)
}

/// What comes behind one piece of the body, when somebody waits for it.
async fn rest(mut answer: Response<Pin<Box<AuthBody<Scripted>>>>) -> Option<Result<HeaderMap, BoxError>> {
    assert_eq!(answer.status(), 200);
    let first = answer.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "piece");
    assert!(!answer.body().is_end_stream() && answer.body().size_hint().exact().is_none());
    let next = answer.body_mut().frame().await;
    assert!(answer.body_mut().frame().await.is_none() && answer.body().is_end_stream());
    next.map(|frame| frame.map(|frame| frame.into_trailers().unwrap()))
}

async fn call<A: Authenticator>(
    layer: &AuthLayer<A>,
    request: Request<Scripted>,
    body: impl FnOnce() -> Scripted + Clone,
) -> Response<Pin<Box<AuthBody<Scripted>>>> {
    let service = service_fn(move |request: Request<CleanBody<Scripted>>| {
        let mut answer = Response::new((body.clone())());
        if let Some(kind) = request.headers().get(header::CONTENT_TYPE) {
            answer.headers_mut().insert(header::CONTENT_TYPE, kind.clone());
        }
        async { Ok::<_, Infallible>(answer) }
    });
    let Ok(answer) = layer.layer(service).oneshot(request).await;
    answer.map(Box::pin)
}

fn streaming() -> Scripted {
    Scripted::new([Step::Data("piece"), Step::Hang])
}

/// About a minute later: the wall clock goes on while the other one stands.
fn is_a_minute_after(start: Instant) -> bool {
    (59..=61).contains(&start.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_is_told_that_the_credentials_expired() {
    let hanging = |_: Request<CleanBody<Scripted>>| pending::<Result<Response<Scripted>, Infallible>>();
    let start = Instant::now();
    let service = for_a_minute().layer(service_fn(hanging));
    let answer = service.clone().oneshot(request("/")).await.unwrap();
    assert_eq!((answer.status().as_u16(), is_a_minute_after(start)), (401, true));
    assert!(answer.headers().contains_key(header::WWW_AUTHENTICATE));
    let answer = service.oneshot(grpc_request()).await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], "16");
    assert_eq!(answer.headers()["grpc-message"], "the credentials expired");
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_in_the_callers_way() {
    let start = Instant::now();
    let broken = rest(call(&for_a_minute(), request("/"), streaming).await).await;
    let error = broken.unwrap().unwrap_err();
    assert_eq!(
        TunnelError::find(&*error).unwrap().cause(),
        Cause::Unauthenticated
    );
    assert!(is_a_minute_after(start));

    let trailers = rest(call(&for_a_minute(), grpc_request(), streaming).await).await;
    assert_eq!(trailers.unwrap().unwrap()["grpc-status"], "16");
}

#[tokio::test(start_paused = true)]
async fn whoever_is_done_in_time_hears_nothing_and_the_body_is_let_go_at_the_end() {
    let whole = || Scripted::of(["piece"]);
    let answer = call(&for_a_minute(), request("/"), whole).await;
    tokio::time::advance(MINUTE / 2).await;
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "piece");

    let alive = Arc::new(());
    let held = alive.clone();
    let body = move || Scripted::new([Step::Data("piece"), Step::Hang]).holding(held);
    let mut answer = call(&for_a_minute(), request("/"), body).await;
    answer.body_mut().frame().await.unwrap().unwrap();
    assert!(answer.body_mut().frame().await.unwrap().is_err());
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_ends_unless_it_is_asked_for_or_while_there_is_grace() {
    let gone = SystemTime::now() - 2 * MINUTE;
    let expired = auth_fn(move |_| async move { Ok(Principal::new("alice", "test").with_expiry(gone)) });
    let layer = AuthLayer::new(expired);
    let open = |layer: &AuthLayer<_>| {
        let layer = layer.clone();
        async move {
            let mut answer = call(&layer, request("/"), streaming).await;
            let status = answer.status();
            answer.body_mut().frame().await.unwrap().unwrap();
            let mut next = task::spawn(async move { answer.body_mut().frame().await.is_some() });
            let now = next.poll().is_pending();
            tokio::time::advance(MINUTE).await;
            (status.as_u16(), now, next.poll().is_pending())
        }
    };
    assert_eq!(open(&layer).await, (200, true, true));
    assert_eq!(
        open(&layer.clone().end_at_expiry(3 * MINUTE)).await,
        (200, true, false)
    );
    let at_once = call(&layer.end_at_expiry(MINUTE), request("/"), || {
        Scripted::new([Step::Hang])
    })
    .await;
    assert!(at_once.into_body().collect().await.is_err());

    // Credentials that say nothing of their end.
    let layer = AuthLayer::new(tokens()).end_at_expiry(Duration::ZERO);
    let answer = call(&layer, with_token(request("/"), TOKEN), || {
        Scripted::of(["piece"])
    })
    .await;
    tokio::time::advance(1_000 * MINUTE).await;
    assert!(answer.into_body().collect().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn those_who_carry_streams_are_told_the_earliest_end() {
    async fn told(layer: &AuthLayer<impl Authenticator>, outer: Option<Instant>) -> Option<Duration> {
        let (sender, receiver) = std::sync::mpsc::channel();
        let service = service_fn(move |request: Request<CleanBody<Scripted>>| {
            sender
                .send(request.extensions().get::<Expiry>().copied())
                .unwrap();
            async { Ok::<_, Infallible>(Response::new(Scripted::of([]))) }
        });
        let mut request = request("/");
        if let Some(outer) = outer {
            request.extensions_mut().insert(Expiry(outer.into_std()));
        }
        layer.layer(service).oneshot(request).await.unwrap();
        let end = receiver.recv().unwrap()?;
        Some(Instant::from_std(end.0) - Instant::now())
    }
    let end = told(&for_a_minute(), None).await.unwrap();
    assert!((MINUTE - Duration::from_secs(5)..=MINUTE).contains(&end));
    let soon = Instant::now() + Duration::from_secs(1);
    assert_eq!(
        told(&for_a_minute(), Some(soon)).await,
        Some(Duration::from_secs(1))
    );
    let never = auth_fn(async |_| Ok(Principal::new("alice", "test")));
    let never = AuthLayer::new(never).end_at_expiry(Duration::ZERO);
    assert_eq!(told(&never, None).await, None);
}
