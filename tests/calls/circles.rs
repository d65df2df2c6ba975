//! Requests that come back to whoever sent them.

use axum::body::Body;
use tunnel_layers::target::ClientExt as _;
use tunnel_tests::{
    client::{Client, Version},
    tunnel::{address, listener},
    wait::within_limit,
};
use tunnel_transport::{Upstream, entry::Entry};

use crate::world::{World, ask, call, request};

#[tokio::test]
async fn an_agent_that_asks_itself_in_a_circle_is_told_so() {
    within_limit(async {
        let mut world = World::new().await;
        let agent = world.circle();
        let circle = agent.client();
        world.tunnel.run(agent.clone(), circle).await;
        let answer = ask(&agent, request("/circle/any", Body::from("round and round"))).await;
        assert_eq!(answer.status, 508);
        assert_eq!(answer.headers["x-tunnel-error"], "loop");
        let mut circling = call();
        *circling.uri_mut() = "/circle/pkg.Echo/Call".parse().expect("a path");
        let answer = ask(&agent, circling).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.headers["grpc-status"]),
            (200, &"9".parse().unwrap())
        );
        world.settled().await;
    })
    .await;
}

#[tokio::test]
async fn a_circle_through_the_listener_of_an_agent_ends_too() {
    within_limit(async {
        let mut world = World::new().await;
        let local = listener().await;
        let addr = address(&local);
        let agent = world.circle();
        let serving = tokio::spawn(Entry::new().serve(local, agent.client()).into_future());
        let upstream = Upstream::http1(format!("http://{addr}")).expect("an upstream");
        world.tunnel.run(agent.clone(), upstream).await;
        let answer = ask(&agent, request("/circle/any", Body::empty())).await;
        assert_eq!(answer.status, 508);
        assert_eq!(answer.headers["x-tunnel-error"], "loop");
        world.settled().await;
        serving.abort();
    })
    .await;
}

#[tokio::test]
async fn what_comes_back_a_few_times_is_no_circle() {
    within_limit(async {
        let world = World::new().await;
        let mut asked = request("/any", Body::empty());
        // As if it had been at four gateways before.
        asked.headers_mut().insert("x-tunnel-hops", 4.into());
        let answer = ask(&world.edge, asked).await;
        assert_eq!(answer.status, 200);
        // The end of the agent's own client has admitted it as well.
        assert_eq!(answer.headers["saw-x-tunnel-hops"], "6");
        let fresh = ask(&world.edge, request("/any", Body::empty())).await;
        assert_eq!(fresh.headers["saw-x-tunnel-hops"], "1");
        let mut outside = Client::connect(Version::Http1, world.tunnel.addr).await;
        let answer = outside.get("/any").await;
        assert!(
            !answer.headers().contains_key("saw-x-tunnel-hops"),
            "no agent has asked this"
        );
        world.settled().await;
    })
    .await;
}
