//! Requests that wait for room.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use tokio_test::{assert_pending, task};
use tunnel_core::{RecvHalf, SendHalf};

use super::*;
use crate::test_session::Group;

const WAIT: Duration = Duration::from_secs(1);

type Open = (u32, SendHalf, RecvHalf);

/// Takes both places of a session.
fn fill(session: &Session) -> Vec<Open> {
    (0..2)
        .map(|_| session.open(Protocol::Http, None, true).unwrap())
        .collect()
}

fn layer(sessions: &[&Session]) -> BalanceLayer<Group, RoundRobin> {
    let balancing = Balancing::new(RoundRobin::new()).wait(WAIT).max_waiting(2);
    BalanceLayer::balancing(group(sessions), balancing)
}

/// What a request through `layer` gets; every agent takes a place for as long as it works, which is `work`.
async fn ask(layer: BalanceLayer<Group, RoundRobin>, work: Duration) -> Answer {
    let service =
        ServiceBuilder::new()
            .layer(layer)
            .service(service_fn(move |request: Request<Lent<Full<Bytes>>>| {
                let session = request.extensions().get::<Session>().unwrap();
                let open = session.open(Protocol::Http, None, true);
                async move {
                    let _open = open?;
                    tokio::time::sleep(work).await;
                    Ok::<_, TunnelError>(Response::new(Full::new(Bytes::new())))
                }
            }));
    service.oneshot(request(b"")).await
}

fn status(answer: Answer) -> u16 {
    answer.unwrap().status().as_u16()
}

#[tokio::test(start_paused = true)]
async fn who_waits_gets_the_place_that_becomes_free() {
    let only = session(1, 1);
    let layer = layer(&[&only]);
    let mut open = fill(&only);
    let mut waiting = task::spawn(ask(layer, Duration::ZERO));
    assert_pending!(waiting.poll());
    open.pop();
    assert!(waiting.is_woken(), "a place is free");
    assert_eq!(status(waiting.await), 200);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_longer_than_is_set() {
    let only = session(1, 1);
    let _open = fill(&only);
    let start = Instant::now();
    assert_eq!(cause(&ask(layer(&[&only]), Duration::ZERO).await), "overloaded");
    assert_eq!(start.elapsed().as_secs_f64().round() as u64, WAIT.as_secs());
}

#[tokio::test(start_paused = true)]
async fn the_line_is_as_long_as_is_set_and_who_leaves_leaves_it() {
    let only = session(1, 1);
    let layer = layer(&[&only]);
    let mut open = fill(&only);
    let mut first = task::spawn(ask(layer.clone(), Duration::ZERO));
    let mut second = task::spawn(ask(layer.clone(), Duration::ZERO));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    let start = Instant::now();
    assert_eq!(cause(&ask(layer.clone(), Duration::ZERO).await), "overloaded");
    assert_eq!(start.elapsed(), Duration::ZERO);
    drop(first);
    let mut third = task::spawn(ask(layer.clone(), Duration::ZERO));
    assert_pending!(third.poll());
    open.pop();
    // The place is the second's, and not of somebody who comes now.
    assert_eq!(cause(&ask(layer, Duration::ZERO).await), "overloaded");
    assert_pending!(third.poll());
    assert!(second.is_woken());
    assert_eq!(status(second.await), 200);
    assert_eq!(status(third.await), 200);
}

#[tokio::test(start_paused = true)]
async fn first_come_first_served_by_whoever_has_room() {
    let sessions = [session(1, 1), session(2, 1)];
    let balancing = Balancing::new(RoundRobin::new()).wait(WAIT * 10);
    let layer = BalanceLayer::balancing(group(&sessions.each_ref()), balancing);
    let order = Arc::new(Mutex::new(Vec::new()));
    // Four run at a time, for a second each.
    let all = (0..20).map(|number| {
        let (layer, order) = (layer.clone(), order.clone());
        async move {
            assert_eq!(status(ask(layer, WAIT).await), 200);
            order.lock().unwrap().push(number);
        }
    });
    let start = Instant::now();
    join_all(all.map(tokio::spawn))
        .await
        .into_iter()
        .for_each(Result::unwrap);
    assert_eq!(start.elapsed().as_secs_f64().round() as u64, 5);
    let order = order.lock().unwrap();
    let rounds: Vec<_> = order.iter().map(|number| number / 4).collect();
    assert!(rounds.is_sorted(), "{order:?}");
    assert!(sessions.iter().all(|session| session.load() == 0));
}

#[tokio::test(start_paused = true)]
async fn without_an_agent_nobody_waits() {
    let gone = session(1, 1);
    let _open = fill(&gone);
    let mut waiting = task::spawn(ask(layer(&[&gone]), Duration::ZERO));
    assert_pending!(waiting.poll());
    gone.drain();
    let start = Instant::now();
    assert_eq!(cause(&ask(layer(&[&gone]), Duration::ZERO).await), "no-agent");
    assert_eq!(cause(&ask(layer(&[]), Duration::ZERO).await), "no-agent");
    assert_eq!(start.elapsed(), Duration::ZERO);
}

/// Agents that come and go.
#[derive(Clone, Debug)]
struct Changing(Arc<Mutex<Group>>);

impl Agents for Changing {
    fn members(&self, name: &tunnel_core::GroupName) -> Arc<[Member]> {
        self.0.lock().unwrap().members(name)
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_comes_is_found_by_those_who_wait() {
    let (full, fresh) = (session(1, 1), session(2, 1));
    let _open = fill(&full);
    let agents = Changing(Arc::new(Mutex::new(group(&[&full]))));
    let balancing = Balancing::new(RoundRobin::new()).wait(WAIT);
    let service = BalanceLayer::balancing(agents.clone(), balancing);
    let service =
        ServiceBuilder::new()
            .layer(service)
            .service(service_fn(async |_: Request<Lent<Full<Bytes>>>| {
                Ok::<_, TunnelError>(Response::new(Full::new(Bytes::new())))
            }));
    let mut first = task::spawn(service.clone().oneshot(request(b"")));
    assert_pending!(first.poll());
    *agents.0.lock().unwrap() = group(&[&full, &fresh]);
    let start = Instant::now();
    let second = tokio::spawn(service.oneshot(request(b"")));
    tokio::task::yield_now().await;
    assert!(first.is_woken());
    assert_eq!(status(first.await), 200);
    assert_eq!(status(second.await.unwrap()), 200);
    assert_eq!(start.elapsed(), Duration::ZERO);
}
