//! Who may ask what.

use std::{
    convert::Infallible,
    sync::{Arc, atomic::Ordering},
};

use axum::body::Body;
use http::Response;
use tower::{ServiceExt as _, service_fn};
use tunnel_layers::target::ClientExt as _;
use tunnel_tests::wait::{eventually, within_limit};

use crate::world::{World, ask, call, request, stuck, tokens_without};

#[tokio::test]
async fn an_agent_asks_only_what_its_credentials_allow_whatever_it_calls_itself() {
    within_limit(async {
        let mut world = World::new().await;
        let other = world.other().await;
        assert_eq!(other.id().as_str(), world.edge.id().as_str());
        let answer = ask(&other, request("/any", Body::empty())).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.headers["x-tunnel-error"]),
            (403, &"forbidden".parse().unwrap())
        );
        let answer = ask(&other, call()).await;
        assert_eq!(answer.headers["grpc-status"], "7");
        let answer = ask(&other, request("/open/any", Body::from("hi"))).await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (200, &b"hi"[..]));
        assert_eq!(answer.headers["saw-x-caller"], "other");
        world.settled().await;
    })
    .await;
}

#[tokio::test]
async fn credentials_that_are_taken_back_end_what_was_asked_with_them() {
    within_limit(async {
        let world = World::new().await;
        let asking = tokio::spawn(world.edge.client().oneshot(stuck()));
        eventually(|| world.stuck.load(Ordering::SeqCst) == 1).await;
        world.tunnel.gateway.replace_agent_auth(tokens_without("edge"));
        let answer = asking.await.expect("no panic").expect("it never fails");
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["x-tunnel-error"]),
            (502, &"agent-lost".parse().unwrap())
        );
        // Whoever answers is told, and what comes now is not taken.
        eventually(|| world.stuck.load(Ordering::SeqCst) == 0).await;
        eventually(|| world.edge.sessions().is_empty()).await;
        let answer = ask(&world.edge, request("/any", Body::empty())).await;
        assert_eq!(answer.headers["x-tunnel-error"], "no-gateway");
        world.tunnel.settled().await;
    })
    .await;
}

#[tokio::test]
async fn a_service_that_was_replaced_goes_although_nobody_asks_again() {
    within_limit(async {
        let world = World::new().await;
        let (held, replaced) = (Arc::new(()), Arc::new(()));
        let serve = |token: &Arc<()>| {
            let token = token.clone();
            world.tunnel.gateway.serve_calls(service_fn(move |_| {
                let _held = token.clone();
                async { Ok::<_, Infallible>(Response::new(String::new())) }
            }));
        };
        serve(&held);
        assert_eq!(ask(&world.edge, request("/any", Body::empty())).await.status, 200);
        serve(&replaced);
        eventually(|| Arc::strong_count(&held) == 1).await;
        world.tunnel.gateway.refuse_calls();
        eventually(|| Arc::strong_count(&replaced) == 1).await;
        world.settled().await;
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_serves_nothing_says_so_and_may_change_its_mind() {
    within_limit(async {
        let world = World::refusing().await;
        for _ in 0..2 {
            let answer = ask(&world.edge, request("/open/any", Body::empty())).await;
            assert_eq!(answer.status, 503);
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(text.contains("takes no requests from agents"), "{text}");
            world.serve_calls();
            let answer = ask(&world.edge, request("/open/any", Body::empty())).await;
            assert_eq!(answer.status, 200);
            world.tunnel.gateway.refuse_calls();
        }
        world.settled().await;
    })
    .await;
}
