//! What operators take out of use, and take back.

use std::sync::Mutex;

use tokio::sync::Semaphore;
use tunnel_core::balance::RoundRobin;

use super::{
    several::{ask, endpoint, named},
    upgrade::asking,
    *,
};
use crate::upstream::{EndpointState, HealthCheck, NamedUpstreams, resolve::Resolver};

/// An origin that answers when a permit is there.
fn gated(text: &'static str) -> (Origin, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let origin = Origin::start(move |_| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await?.forget();
            Ok(Response::new(body(text)))
        }
    });
    (origin, opened)
}

fn state(upstream: &Upstream, addr: SocketAddr) -> EndpointState {
    let mut states = upstream.endpoints().into_iter();
    states
        .find(|one| one.name.ends_with(&addr.to_string()))
        .expect("an endpoint")
}

async fn until(condition: impl Fn() -> bool) {
    soon(async {
        while !condition() {
            settle().await;
        }
    })
    .await;
}

fn drained(error: &TunnelError) {
    assert_eq!((error.cause(), error.sent()), (Cause::Draining, Sent::No));
    assert!(error.to_string().contains("drained"), "{error}");
}

#[tokio::test]
async fn what_runs_is_finished_and_new_requests_go_elsewhere() {
    for protocol in BOTH {
        let ((slow, gate), other) = (gated("slow"), named("other"));
        let upstream = Upstream::balanced([endpoint(&slow).weight(7).zone("here"), endpoint(&other)])
            .policy(RoundRobin::new())
            .protocol(protocol)
            .build()
            .unwrap();
        let running = [(); 2].map(|()| tokio::spawn(upstream.clone().oneshot(get())));
        until(|| state(&upstream, slow.addr).pending > 0).await;
        let name = state(&upstream, slow.addr).name;
        assert!(upstream.drain_endpoint(&name));
        for _ in 0..8 {
            assert_eq!(ask(&upstream).await, "other");
        }
        let now = state(&upstream, slow.addr);
        assert!(
            now.is_draining && now.pending > 0 && now.connections > 0,
            "{now:?}"
        );
        assert_eq!((now.weight, now.zone.as_deref()), (7, Some("here")));
        assert!(!state(&upstream, other.addr).is_draining);

        gate.add_permits(2);
        for running in running {
            let text = text(soon(running).await.unwrap().unwrap()).await;
            assert!(["slow", "other"].contains(&text.as_str()));
        }
        // Nothing is kept there.
        until(|| state(&upstream, slow.addr).connections == 0).await;
        assert_eq!(state(&upstream, slow.addr).pending, 0);

        gate.add_permits(100);
        assert!(upstream.resume_endpoint(&name));
        assert!(!state(&upstream, slow.addr).is_draining);
        let answers = [ask(&upstream).await, ask(&upstream).await];
        assert!(answers.contains(&"slow".to_owned()), "{protocol:?} {answers:?}");
        assert!(state(&upstream, slow.addr).latency.is_some());
    }
}

#[tokio::test]
async fn an_upstream_of_one_endpoint_is_drained_too() {
    for protocol in BOTH {
        let (origin, gate) = gated("slow");
        let upstream = origin.upstream(protocol);
        let running = tokio::spawn(upstream.clone().oneshot(get()));
        until(|| origin.accepted() > 0).await;
        assert_eq!(state(&upstream, origin.addr).pending, 1);
        let name = format!("http://{}", origin.addr);
        assert!(upstream.drain_endpoint(&name));
        drained(&soon(upstream.clone().oneshot(get())).await.unwrap_err());
        let (_sender, upgrade) = asking();
        drained(&soon(upstream.clone().oneshot(upgrade)).await.unwrap_err());
        gate.add_permits(1);
        assert_eq!(text(soon(running).await.unwrap().unwrap()).await, "slow");
        until(|| upstream.connections() == 0).await;
        assert_eq!(state(&upstream, origin.addr).pending, 0);
        assert!(upstream.resume_endpoint(&name));
        gate.add_permits(1);
        assert_eq!(ask(&upstream).await, "slow");
        assert_eq!(origin.accepted(), 2, "{protocol:?}");
    }
}

#[tokio::test]
async fn whoever_waits_for_a_connection_goes_elsewhere() {
    let ((slow, gate), (other, others)) = (gated("slow"), gated("other"));
    others.add_permits(100);
    let upstream = Upstream::balanced([endpoint(&slow)])
        .health(HealthCheck::tcp().interval(Duration::from_secs(60)))
        .max_connections(1)
        .queue_timeout(Duration::from_secs(60))
        .build()
        .unwrap();
    let name = format!("http://{}", slow.addr);
    let running = tokio::spawn(upstream.clone().oneshot(get()));
    until(|| slow.accepted() > 0 && state(&upstream, slow.addr).pending == 1).await;
    let waiting = tokio::spawn(upstream.clone().oneshot(get()));
    until(|| state(&upstream, slow.addr).pending == 2).await;
    assert!(upstream.drain_endpoint(&name));
    // There is no other one.
    drained(&soon(waiting).await.unwrap().unwrap_err());
    gate.add_permits(1);
    assert_eq!(text(soon(running).await.unwrap().unwrap()).await, "slow");
    drop(other);
}

#[tokio::test]
async fn a_whole_upstream_is_drained_by_its_name() {
    let (one, two) = (named("one"), named("two"));
    let upstream = Upstream::balanced([endpoint(&one), endpoint(&two)])
        .policy(RoundRobin::new())
        .build()
        .unwrap();
    let upstreams = NamedUpstreams::new().with("app", upstream.clone());
    assert!(!upstreams.drain("web") && !upstream.is_draining());
    assert!(upstreams.drain("app") && upstream.is_draining());
    assert!(upstream.endpoints().iter().all(|one| one.is_draining));
    drained(&soon(upstream.clone().oneshot(get())).await.unwrap_err());

    // One that is drained by name stays so.
    let name = state(&upstream, one.addr).name;
    assert!(upstream.drain_endpoint(&name));
    assert!(upstreams.resume("app"));
    for _ in 0..4 {
        assert_eq!(ask(&upstream).await, "two");
    }
    // And in an upstream that takes the place of this one.
    let next = Upstream::balanced([endpoint(&one), endpoint(&two).weight(2)])
        .build()
        .unwrap();
    let next = NamedUpstreams::new().with("app", next);
    next.keep_drains(&upstreams);
    let next = next.get("app").unwrap();
    assert!(state(next, one.addr).is_draining && !state(next, two.addr).is_draining);
    assert!(!upstream.drain_endpoint("http://nobody") && !upstream.resume_endpoint("http://nobody"));
}

#[tokio::test]
async fn an_address_stays_drained_when_its_name_is_looked_up_again() {
    let (one, two) = (named("one"), named("two"));
    let list = Arc::new(Mutex::new(vec![one.addr, two.addr]));
    let upstream = Upstream::builder("http://app.internal")
        .policy(RoundRobin::new())
        .resolver(Resolver::List(Arc::clone(&list)))
        .resolve_every(Duration::from_millis(100))
        .build()
        .unwrap();
    upstream.start();
    until(|| upstream.endpoints().len() == 2).await;
    assert!(upstream.drain_endpoint(&one.addr.to_string()));
    *list.lock().unwrap() = vec![two.addr];
    until(|| upstream.endpoints().len() == 1).await;
    *list.lock().unwrap() = vec![one.addr, two.addr];
    until(|| upstream.endpoints().len() == 2).await;
    let now = state(&upstream, one.addr);
    assert!(now.is_draining);
    assert_eq!(now.configured, "http://app.internal");
    for _ in 0..4 {
        assert_eq!(ask(&upstream).await, "two");
    }
    // The name stands for all of its addresses.
    assert!(upstream.drain_endpoint("http://app.internal"));
    drained(&soon(upstream.clone().oneshot(get())).await.unwrap_err());
    assert!(upstream.resume_endpoint("http://app.internal"));
    assert!(state(&upstream, one.addr).is_draining);
    assert!(upstream.resume_endpoint(&one.addr.to_string()));
    let answers = [ask(&upstream).await, ask(&upstream).await];
    assert!(answers.contains(&"one".to_owned()), "{answers:?}");
}

#[tokio::test]
async fn what_is_left_is_cut_at_the_limit() {
    for protocol in BOTH {
        let ((stuck, _gate), other) = (gated("stuck"), named("other"));
        let upstream = Upstream::balanced([endpoint(&stuck), endpoint(&other)])
            .policy(RoundRobin::new())
            .protocol(protocol)
            .build()
            .unwrap();
        let running = [(); 2].map(|()| tokio::spawn(upstream.clone().oneshot(get())));
        until(|| state(&upstream, stuck.addr).pending == 1 && stuck.accepted() == 1).await;
        let name = state(&upstream, stuck.addr).name;
        assert!(upstream.drain_endpoint_within(&name, Duration::from_millis(20)));
        let mut failed = 0;
        for running in running {
            match soon(running).await.unwrap() {
                Ok(response) => assert_eq!(text(response).await, "other"),
                Err(error) => {
                    assert_eq!(error.cause(), Cause::Upstream);
                    failed += 1;
                }
            }
        }
        assert_eq!(failed, 1, "{protocol:?}");
        until(|| state(&upstream, stuck.addr).connections == 0).await;
        assert_eq!(ask(&upstream).await, "other");
    }
}

#[tokio::test]
async fn what_is_resumed_in_time_is_not_cut() {
    let (slow, gate) = gated("slow");
    let upstream = slow.upstream(UpstreamProtocol::Http1);
    let running = tokio::spawn(upstream.clone().oneshot(get()));
    until(|| slow.accepted() > 0).await;
    upstream.drain_within(Duration::from_millis(20));
    upstream.resume();
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(state(&upstream, slow.addr).pending, 1);
    gate.add_permits(1);
    assert_eq!(text(soon(running).await.unwrap().unwrap()).await, "slow");
}
