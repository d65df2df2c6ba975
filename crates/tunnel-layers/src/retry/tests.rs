//! What a rule's policy sends again.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use tokio::time::Instant;
use tower::{ServiceBuilder, ServiceExt as _, service_fn};
use tunnel_core::{
    Cause, Initiator, Record, RetryBudget, RetryPolicy, Routed, Target, TunnelError, admit::UpgradeRequest,
    retry::Tried, route::Deadline,
};

use super::*;
use crate::test_session::runtime;

/// What the upstream does with an attempt.
#[derive(Clone, Copy)]
enum Does {
    Answer(u16),
    Grpc(&'static str),
    Break,
    Leave,
}

fn by(policy: &RetryPolicy, method: Method, body: &'static [u8]) -> Request<Full<Bytes>> {
    let mut routed = Routed::new("site", Target::Upstream("site".into()));
    routed.retry = Some(Arc::new(policy.clone()));
    Request::builder()
        .method(method)
        .uri("http://example.com/")
        .header("host", "example.com")
        .extension(routed)
        .body(Full::new(Bytes::from_static(body)))
        .unwrap()
}

/// The status that the caller gets when the first attempts end like `first`, and all others well; and when each attempt came. Each has
/// to see the whole body.
async fn attempts(request: Request<Full<Bytes>>, first: &'static [Does]) -> (u16, Vec<Duration>) {
    let start = Instant::now();
    let log = Arc::new(Mutex::new(Vec::new()));
    let whole = request.body().clone().collect().await.unwrap().to_bytes();
    let times = log.clone();
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(runtime()))
        .service(service_fn(move |request: Request<Lent<Full<Bytes>>>| {
            let (log, whole) = (log.clone(), whole.clone());
            async move {
                let number = log.lock().unwrap().len();
                if let Some(tried) = request.extensions().get::<Tried>() {
                    // All attempts share it.
                    assert!((0..number as u64).all(|before| tried.has(before)));
                    tried.note(number as u64);
                }
                assert_eq!(request.into_body().collect().await.unwrap().to_bytes(), whole);
                log.lock().unwrap().push(start.elapsed());
                let failed = |cause| Err(TunnelError::new(cause, Initiator::Peer, "broke off"));
                let response = match first.get(number) {
                    None => Response::builder(),
                    Some(Does::Answer(status)) => Response::builder().status(*status),
                    Some(Does::Grpc(code)) => Response::builder().header("grpc-status", *code),
                    Some(Does::Break) => return failed(Cause::Upstream),
                    Some(Does::Leave) => return failed(Cause::Canceled),
                };
                Ok(response.body(Full::new(Bytes::new())).unwrap())
            }
        }));
    let status = match service.oneshot(request).await {
        Ok(response) if response.headers().contains_key("grpc-status") => 500,
        Ok(response) => response.status().as_u16(),
        Err(error) => crate::reject::status(error.cause()).as_u16(),
    };
    let times = times.lock().unwrap().clone();
    (status, times)
}

async fn count(request: Request<Full<Bytes>>, first: &'static [Does]) -> (u16, usize) {
    let (status, times) = attempts(request, first).await;
    (status, times.len())
}

#[tokio::test]
async fn answers_and_failures_that_the_rule_names_are_tried_again() {
    let policy = RetryPolicy::new(3);
    let put = || by(&policy, Method::PUT, b"x");
    assert_eq!(count(put(), &[]).await, (200, 1));
    assert_eq!(count(put(), &[Does::Answer(503)]).await, (200, 2));
    assert_eq!(count(put(), &[Does::Break, Does::Answer(502)]).await, (200, 3));
    assert_eq!(count(put(), &[Does::Answer(503); 4]).await, (503, 3));
    assert_eq!(count(put(), &[Does::Answer(500)]).await, (500, 1));
    assert_eq!(count(put(), &[Does::Leave]).await, (502, 1));
    let post = by(&policy, Method::POST, b"x");
    assert_eq!(count(post, &[Does::Answer(503)]).await, (503, 1));
}

#[tokio::test]
async fn retries_are_noted() {
    let mut request = by(&RetryPolicy::new(3), Method::PUT, b"x");
    let record = Record::of(request.extensions_mut());
    assert_eq!(count(request, &[Does::Break, Does::Answer(502)]).await, (200, 3));
    assert_eq!(record.found().retries, 2);
}

#[tokio::test]
async fn calls_of_grpc_go_by_their_codes() {
    let call = |policy: RetryPolicy| {
        let mut request = by(&policy, Method::POST, b"message");
        let value = http::HeaderValue::from_static("application/grpc");
        request.headers_mut().insert(header::CONTENT_TYPE, value);
        request
    };
    assert_eq!(
        count(call(RetryPolicy::new(2)), &[Does::Grpc("14")]).await,
        (500, 1)
    );
    let policy = RetryPolicy::new(2).grpc_codes([14]);
    assert_eq!(count(call(policy.clone()), &[Does::Grpc("14")]).await, (200, 2));
    assert_eq!(count(call(policy.clone()), &[Does::Break]).await, (200, 2));
    assert_eq!(count(call(policy), &[Does::Grpc("13")]).await, (500, 1));
}

#[tokio::test]
async fn without_a_policy_and_for_upgrades_there_is_one_attempt() {
    let policy = RetryPolicy::new(3);
    let mut request = by(&policy, Method::GET, b"");
    request.extensions_mut().get_mut::<Routed>().unwrap().retry = None;
    assert_eq!(count(request, &[Does::Answer(503)]).await, (503, 1));
    let mut request = by(&policy, Method::GET, b"");
    let protocol = http::HeaderValue::from_static("websocket");
    request.extensions_mut().insert(UpgradeRequest { protocol });
    assert_eq!(count(request, &[Does::Answer(503)]).await, (503, 1));
}

#[tokio::test]
async fn bodies_are_kept_up_to_the_size_of_the_policy() {
    static LARGE: [u8; 200_001] = [7; 200_001];
    let policy = RetryPolicy::new(2).max_body(200_000);
    let put = |body| by(&policy, Method::PUT, body);
    assert_eq!(count(put(&LARGE[1..]), &[Does::Answer(503)]).await, (200, 2));
    assert_eq!(count(put(&LARGE), &[Does::Answer(503)]).await, (503, 1));
}

#[tokio::test(start_paused = true)]
async fn the_budget_and_the_deadline_end_it() {
    let policy = RetryPolicy::new(2).budget(RetryBudget::new(20, 0));
    let mut tried = 0;
    for _ in 0..50 {
        tried += count(by(&policy, Method::GET, b""), &[Does::Answer(503)]).await.1;
    }
    assert_eq!(tried, 60);

    let policy = RetryPolicy::new(2);
    for (left, expected) in [(Duration::from_secs(1), (200, 2)), (Duration::ZERO, (503, 1))] {
        let mut request = by(&policy, Method::GET, b"");
        let deadline = Deadline((Instant::now() + left).into_std());
        request.extensions_mut().insert(deadline);
        assert_eq!(count(request, &[Does::Answer(503)]).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_backoff_is_waited_for_unless_the_deadline_comes_first() {
    let ms = Duration::from_millis;
    let policy = RetryPolicy::new(4).backoff(ms(400), ms(1_000));
    // The chance of this runtime is always the same.
    let pauses = [1, 2, 3].map(|retry| policy.pause(retry, u32::from_be_bytes([7; 4])));
    assert!(pauses[0] > ms(10) && pauses[1] > pauses[0] && pauses[2] > pauses[1]);
    let (status, times) = attempts(by(&policy, Method::GET, b""), &[Does::Answer(503); 3]).await;
    assert_eq!(status, 200);
    for (pair, pause) in times.windows(2).zip(pauses) {
        // A timer of tokio fires at the next millisecond.
        let waited = pair[1] - pair[0];
        assert!(waited >= pause && waited <= pause + ms(2), "{waited:?} {pause:?}");
    }
    let mut request = by(&policy, Method::GET, b"");
    let deadline = Deadline((Instant::now() + pauses[0] / 2).into_std());
    request.extensions_mut().insert(deadline);
    assert_eq!(count(request, &[Does::Answer(503)]).await, (503, 1));
}
