//! An agent that asks several gateways.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body};
use futures_util::future::join_all;
use http::Response;
use tower::{ServiceExt as _, service_fn};
use tunnel_core::{Cause, Initiator, TunnelError};
use tunnel_layers::target::ClientExt as _;
use tunnel_tests::{
    tunnel::Tunnel,
    wait::{eventually, within_limit},
};
use tunnel_transport::Agent;

use crate::world::{ask, request};

/// Two gateways, and an agent that is connected to both.
struct Two {
    one: Tunnel,
    other: Tunnel,
    edge: Agent,
}

impl Two {
    async fn new() -> Self {
        let mut one = serving("one").await;
        let other = serving("other").await;
        let edge = one.agent("edge").gateway(format!("http://{}", other.agents_addr));
        let edge = one.run_agent(edge, Router::new()).await;
        eventually(|| {
            edge.sessions()
                .iter()
                .filter(|session| session.is_available())
                .count()
                == 2
        })
        .await;
        Self { one, other, edge }
    }

    /// Who answers the next request.
    async fn asked(&self) -> String {
        let answer = ask(&self.edge, request("/any", Body::from("to whom?"))).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        String::from_utf8_lossy(&answer.body).into_owned()
    }
}

/// A gateway that answers what agents ask with its name, once the whole of it has come.
async fn serving(name: &'static str) -> Tunnel {
    let tunnel = Tunnel::builder().start().await;
    tunnel.gateway.serve_calls(service_fn(
        move |request: tunnel_transport::ServedRequest| async move {
            let body = http_body_util::BodyExt::collect(request.into_body()).await?;
            drop(body);
            Ok::<_, tunnel_core::BoxError>(Response::new(name.to_owned()))
        },
    ));
    tunnel
}

#[tokio::test]
async fn each_of_them_is_asked() {
    within_limit(async {
        let two = Two::new().await;
        let answers = join_all((0..64).map(|_| two.asked())).await;
        for name in ["one", "other"] {
            let count = answers.iter().filter(|answer| *answer == name).count();
            assert!((16..=48).contains(&count), "{name} answered {count} of 64");
        }
        two.one.settled().await;
    })
    .await;
}

#[tokio::test]
async fn one_that_takes_no_requests_of_agents_is_passed_over() {
    within_limit(async {
        let two = Two::new().await;
        two.one.gateway.refuse_calls();
        for _ in 0..8 {
            assert_eq!(two.asked().await, "other");
        }
    })
    .await;
}

#[tokio::test]
async fn one_that_leaves_is_asked_nothing_new_and_finishes_what_it_was_asked() {
    within_limit(async {
        let two = Two::new().await;
        // One at each, which ends when its body does.
        let fed: Vec<_> = (0..2).map(|_| tunnel_tests::body::fed()).collect();
        let (feeds, bodies): (Vec<_>, Vec<_>) = fed.into_iter().unzip();
        let open = bodies
            .into_iter()
            .map(|body| tokio::spawn(two.edge.client().oneshot(request("/any", body))));
        let open: Vec<_> = open.collect();
        eventually(|| two.edge.sessions().iter().all(|session| session.load() == 1)).await;

        two.one.gateway.leave(Duration::from_secs(60));
        let stays = || two.other.sessions("edge")[0].clone();
        eventually(|| {
            let uplinks = tunnel_core::Uplinks::uplinks(&two.edge);
            let members = tunnel_core::Agents::members(&uplinks, &tunnel_tests::tunnel::group("any"));
            members.len() == 1 && members[0].session.id() == stays().id()
        })
        .await;
        for answer in join_all((0..16).map(|_| two.asked())).await {
            assert_eq!(answer, "other");
        }
        drop(feeds);
        for asked in open {
            let answer = asked.await.expect("no panic").expect("it never fails");
            assert_eq!(answer.status(), 200);
        }
    })
    .await;
}

#[tokio::test]
async fn one_that_is_lost_fails_what_it_had_and_the_other_goes_on() {
    within_limit(async {
        let two = Two::new().await;
        let (feed, body) = tunnel_tests::body::fed();
        let asked = tokio::spawn(two.edge.client().oneshot(request("/any", body)));
        eventually(|| two.edge.sessions().iter().any(|session| session.load() == 1)).await;
        let busy = two
            .edge
            .sessions()
            .into_iter()
            .find(|session| session.load() == 1);
        let busy = busy.expect("one of them");
        busy.close(&TunnelError::new(Cause::AgentLost, Initiator::Tunnel, "a test"));
        let answer = asked.await.expect("no panic").expect("it never fails");
        assert_eq!(answer.status(), 502);
        drop(feed);
        for _ in 0..8 {
            two.asked().await;
        }
        eventually(|| two.edge.sessions().len() == 2).await;
    })
    .await;
}

/// Requests without a pause, whichever gateway goes meanwhile.
#[tokio::test]
async fn gateways_that_go_one_after_the_other_lose_nothing() {
    within_limit(async {
        let Two { one, other, edge } = Two::new().await;
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let callers = (0..8).map(|_| {
            let (edge, stop, asked) = (edge.clone(), stop.clone(), asked.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let answer = ask(&edge, request("/any", Body::from("one of many"))).await;
                    assert_eq!(answer.status, 200, "{answer:?}");
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        let callers: Vec<_> = callers.collect();
        let more = async |count: usize| {
            let from = asked.load(Ordering::Relaxed);
            eventually(|| asked.load(Ordering::Relaxed) >= from + count).await;
        };
        more(100).await;
        // It leaves, is drained, and hangs up.
        one.gateway.leave(Duration::from_secs(5));
        more(100).await;
        for session in one.sessions("edge") {
            session.drain();
            std::future::poll_fn(|cx| session.poll_idle(cx)).await;
            session.close(&TunnelError::new(Cause::Draining, Initiator::Tunnel, "a test"));
        }
        more(100).await;
        assert!(other.sessions("edge")[0].is_available());
        stop.store(true, Ordering::Relaxed);
        for caller in callers {
            caller.await.expect("every request was answered");
        }
    })
    .await;
}
