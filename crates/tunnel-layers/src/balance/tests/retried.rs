//! What a rule's policy sends again.

use std::time::Duration;

use http::{Method, StatusCode, header};
use tokio::time::Instant;
use tunnel_core::{RetryBudget, RetryPolicy, route::Deadline};

use super::*;

/// What an agent does with an attempt.
#[derive(Clone, Copy)]
enum Does {
    Answer(u16),
    Grpc(&'static str),
    Lose,
}

/// A request of a rule with this policy.
fn by(policy: &Arc<RetryPolicy>, method: Method, body: &'static [u8]) -> Request<Full<Bytes>> {
    let mut request = request(body);
    *request.method_mut() = method;
    let routed: &mut Routed = request.extensions_mut().get_mut().unwrap();
    routed.retry = Some(policy.clone());
    request
}

fn grpc(policy: &Arc<RetryPolicy>) -> Request<Full<Bytes>> {
    let mut request = by(policy, Method::POST, b"message");
    let value = http::HeaderValue::from_static("application/grpc");
    request.headers_mut().insert(header::CONTENT_TYPE, value);
    request
}

/// The status that the caller gets when the first attempts end like `first`, and all others well; and how many attempts there were.
/// Each has to see the whole body.
async fn attempts(agents: u8, request: Request<Full<Bytes>>, first: &'static [Does]) -> (u16, usize) {
    let sessions: Vec<_> = (1..=agents).map(|number| session(number, 1)).collect();
    let tried = Arc::new(Mutex::new(Vec::new()));
    let (log, whole) = (
        tried.clone(),
        request.body().clone().collect().await.unwrap().to_bytes(),
    );
    let service = ServiceBuilder::new()
        .layer(BalanceLayer::new(
            group(&sessions.iter().collect::<Vec<_>>()),
            RoundRobin::new(),
        ))
        .service(service_fn(move |request: Request<Lent<Full<Bytes>>>| {
            let (log, whole) = (log.clone(), whole.clone());
            async move {
                let session = request.extensions().get::<Session>().unwrap().id();
                assert_eq!(request.into_body().collect().await.unwrap().to_bytes(), whole);
                let number = {
                    let mut log = log.lock().unwrap();
                    log.push(session);
                    log.len()
                };
                let response = Response::builder();
                let response = match first.get(number - 1) {
                    None => response,
                    Some(Does::Answer(status)) => response.status(*status),
                    Some(Does::Grpc(code)) => response.header("grpc-status", *code),
                    Some(Does::Lose) => {
                        return Err(TunnelError::new(Cause::AgentLost, Initiator::Peer, "lost"));
                    }
                };
                Ok(response.body(Full::new(Bytes::new())).unwrap())
            }
        }));
    let answer = service.oneshot(request).await;
    let tried = tried.lock().unwrap();
    let different: std::collections::HashSet<_> = tried.iter().collect();
    assert_eq!(
        different.len(),
        tried.len().min(usize::from(agents)),
        "others first"
    );
    let status = match answer {
        Ok(response) if response.headers().contains_key("grpc-status") => 500,
        Ok(response) => response.status().as_u16(),
        Err(error) => crate::reject::status(error.cause()).as_u16(),
    };
    (status, tried.len())
}

#[tokio::test]
async fn answers_and_losses_that_the_rule_names_are_sent_to_another_agent() {
    let policy = Arc::new(RetryPolicy::new(3));
    let put = |body| by(&policy, Method::PUT, body);
    assert_eq!(attempts(3, put(b"x"), &[Does::Answer(503)]).await, (200, 2));
    assert_eq!(
        attempts(3, put(b"x"), &[Does::Lose, Does::Answer(502)]).await,
        (200, 3)
    );
    assert_eq!(attempts(3, put(b"x"), &[Does::Answer(500)]).await, (500, 1));
    assert_eq!(attempts(3, put(b"x"), &[Does::Answer(404)]).await, (404, 1));
    assert_eq!(attempts(4, put(b"x"), &[Does::Answer(503); 4]).await, (503, 3));
    // With nobody else, the same once more.
    assert_eq!(attempts(1, put(b"x"), &[Does::Answer(503)]).await, (200, 2));
}

#[tokio::test]
async fn methods_that_are_not_idempotent_need_a_word() {
    let policy = Arc::new(RetryPolicy::new(3));
    let post = |policy| by(policy, Method::POST, b"x");
    assert_eq!(attempts(2, post(&policy), &[Does::Answer(503)]).await, (503, 1));
    assert_eq!(attempts(2, post(&policy), &[Does::Lose]).await, (502, 1));
    let policy = Arc::new(
        RetryPolicy::new(3)
            .methods([Method::POST])
            .statuses([StatusCode::CONFLICT]),
    );
    assert_eq!(attempts(2, post(&policy), &[Does::Answer(409)]).await, (200, 2));
    assert_eq!(attempts(2, post(&policy), &[Does::Answer(503)]).await, (503, 1));
    let get = by(&policy, Method::GET, b"");
    assert_eq!(attempts(2, get, &[Does::Answer(409)]).await, (409, 1));
}

#[tokio::test]
async fn calls_of_grpc_go_by_their_codes() {
    let policy = Arc::new(RetryPolicy::new(2));
    assert_eq!(attempts(2, grpc(&policy), &[Does::Grpc("14")]).await, (500, 1));
    let policy = Arc::new(RetryPolicy::new(2).grpc_codes([14]));
    assert_eq!(attempts(2, grpc(&policy), &[Does::Grpc("14")]).await, (200, 2));
    assert_eq!(attempts(2, grpc(&policy), &[Does::Lose]).await, (200, 2));
    assert_eq!(attempts(2, grpc(&policy), &[Does::Answer(503)]).await, (200, 2));
    assert_eq!(attempts(2, grpc(&policy), &[Does::Grpc("13")]).await, (500, 1));
}

#[tokio::test]
async fn bodies_are_kept_up_to_the_size_of_the_policy() {
    static LARGE: [u8; 200_001] = [7; 200_001];
    let policy = Arc::new(RetryPolicy::new(2).max_body(200_000));
    let put = |body| by(&policy, Method::PUT, body);
    assert_eq!(
        attempts(2, put(&LARGE[1..]), &[Does::Answer(503)]).await,
        (200, 2)
    );
    assert_eq!(attempts(2, put(&LARGE), &[Does::Answer(503)]).await, (503, 1));
    let policy = Arc::new(RetryPolicy::new(2).max_body(0));
    let put = |body| by(&policy, Method::PUT, body);
    assert_eq!(attempts(2, put(b"x"), &[Does::Answer(503)]).await, (503, 1));
    assert_eq!(attempts(2, put(b""), &[Does::Answer(503)]).await, (200, 2));
}

#[tokio::test(start_paused = true)]
async fn the_budget_and_the_deadline_end_it() {
    let budget = RetryBudget::new(20, 0);
    let policy = Arc::new(RetryPolicy::new(2).budget(budget));
    let mut retried = 0;
    for _ in 0..50 {
        retried += attempts(2, by(&policy, Method::GET, b""), &[Does::Answer(503)])
            .await
            .1
            - 1;
    }
    assert_eq!(retried, 10);

    let policy = Arc::new(RetryPolicy::new(2));
    for (left, expected) in [(Duration::from_secs(1), (200, 2)), (Duration::ZERO, (503, 1))] {
        let mut request = by(&policy, Method::GET, b"");
        let deadline = Deadline((Instant::now() + left).into_std());
        request.extensions_mut().insert(deadline);
        assert_eq!(attempts(2, request, &[Does::Answer(503)]).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_backoff_is_waited_for() {
    let ms = Duration::from_millis;
    let policy = RetryPolicy::new(2).backoff(ms(400), ms(400));
    let pause = policy.pause(1, u32::from_be_bytes([7; 4]));
    let start = Instant::now();
    let request = by(&Arc::new(policy), Method::GET, b"");
    assert_eq!(attempts(2, request, &[Does::Answer(503)]).await, (200, 2));
    assert!(start.elapsed() >= pause && pause > ms(10), "{pause:?}");
    // What never left waits for nothing.
    let start = Instant::now();
    let (first, second) = (session(1, 1), session(2, 1));
    let id = first.id();
    let refused = move |session: &Session| (session.id() == id).then_some(Sent::No);
    let (answer, tried) = send(&[&first, &second], b"", refused).await;
    assert_eq!((answer.unwrap().status().as_u16(), tried.len()), (200, 2));
    assert_eq!(start.elapsed(), Duration::ZERO);
}
