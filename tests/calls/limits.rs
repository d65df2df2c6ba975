//! What holds back callers from outside holds back agents.

use std::{sync::atomic::Ordering, time::Duration};

use axum::body::Body;
use tower::ServiceExt as _;
use tunnel_core::{Limit, Settings, Timeouts};
use tunnel_layers::{
    concurrency::ConcurrencyLayer, deadline::DeadlineLayer, key::ByPrincipal, rate_limit::RateLimitLayer,
    target::ClientExt as _,
};
use tunnel_tests::wait::{eventually, within_limit};

use crate::world::{Limits, World, ask, request, stuck};

#[tokio::test]
async fn rates_are_counted_for_each_agents_credentials() {
    within_limit(async {
        let mut world = World::new().await;
        let other = world.other().await;
        world.serve_within(Limits {
            rate: RateLimitLayer::per(2, Duration::from_secs(3_600)).key(ByPrincipal),
            ..Limits::default()
        });
        for (agent, path) in [(&world.edge, "/any"), (&other, "/open/any")] {
            for _ in 0..2 {
                assert_eq!(ask(agent, request(path, Body::empty())).await.status, 200);
            }
            let answer = ask(agent, request(path, Body::empty())).await;
            assert_eq!(answer.status, 429);
            assert_eq!(answer.headers["x-tunnel-error"], "rate-limited");
        }
        world.settled().await;
    })
    .await;
}

#[tokio::test]
async fn an_agent_has_so_many_places() {
    within_limit(async {
        let world = World::new().await;
        world.serve_within(Limits {
            places: ConcurrencyLayer::new().max(1).max_wait(Duration::ZERO),
            ..Limits::default()
        });
        let asking = tokio::spawn(world.edge.client().oneshot(stuck()));
        eventually(|| world.stuck.load(Ordering::SeqCst) == 1).await;
        let answer = ask(&world.edge, request("/any", Body::empty())).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.headers["x-tunnel-error"]),
            (503, &"overloaded".parse().unwrap())
        );
        asking.abort();
        eventually(|| world.stuck.load(Ordering::SeqCst) == 0).await;
        world.settled().await;
        assert_eq!(ask(&world.edge, request("/any", Body::empty())).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn a_deadline_of_the_gateway_ends_what_an_agent_asks() {
    within_limit(async {
        let world = World::new().await;
        let timeouts = Timeouts {
            whole: Some(Limit::To(Duration::from_millis(50))),
            ..Timeouts::default()
        };
        world.serve_within(Limits {
            deadline: DeadlineLayer::new().defaults(timeouts),
            ..Limits::default()
        });
        let answer = world
            .edge
            .client()
            .oneshot(stuck())
            .await
            .expect("it never fails");
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["x-tunnel-error"]),
            (504, &"deadline".parse().unwrap())
        );
        eventually(|| world.stuck.load(Ordering::SeqCst) == 0).await;
        world.settled().await;
    })
    .await;
}

#[tokio::test]
async fn a_session_takes_so_many_exchanges_of_its_agent() {
    within_limit(async {
        let settings = Settings {
            max_exchanges: 1,
            ..Settings::default()
        };
        let world = World::with(settings).await;
        let asking = tokio::spawn(world.edge.client().oneshot(stuck()));
        eventually(|| world.stuck.load(Ordering::SeqCst) == 1).await;
        let answer = ask(&world.edge, request("/any", Body::empty())).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.headers["x-tunnel-error"]),
            (503, &"overloaded".parse().unwrap())
        );
        asking.abort();
        world.settled().await;
    })
    .await;
}
