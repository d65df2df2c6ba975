//! Who may ask what.

use axum::body::Body;
use tunnel_tests::wait::within_limit;

use crate::world::{World, ask, call, request};

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
