//! The gateway's gRPC service in other people's servers.

use std::net::SocketAddr;

use axum::{Router, routing::get};
use http_body_util::BodyExt as _;
use tokio::task::JoinSet;
use tonic::{
    service::Routes,
    transport::{Server, server::TcpIncoming},
};
use tower::ServiceBuilder;
use tunnel_layers::{
    balance::{BalanceLayer, RoundRobin},
    chunk::ChunkLayer,
    correlate::CorrelateLayer,
    rescue::RescueLayer,
    route::{RouteLayer, Rule, Rules},
};
use tunnel_tests::{
    client::{Client, Version},
    tunnel::{GROUP, group, listener},
    wait::within_limit,
};
use tunnel_transport::{Agent, Gateway};

/// An agent that dials `addr`, and whose app answers `/` with `from the agent`.
async fn agent(addr: SocketAddr, tasks: &mut JoinSet<()>) {
    let app = Router::new().route("/", get(|| async { "from the agent" }));
    let agent = Agent::builder(format!("http://{addr}"))
        .group(GROUP)
        .build()
        .unwrap();
    let serve = agent.serve(app);
    tasks.spawn(async move { serve.await.unwrap() });
    agent.connected().await;
}

/// A stack that sends everything to the group, with fewer layers than the recommended one.
macro_rules! stack {
    ($gateway:expr) => {
        ServiceBuilder::new()
            .layer(RescueLayer::new())
            .layer(RouteLayer::new(
                Rules::compile([Rule::group("all", group(GROUP))]).unwrap(),
            ))
            .layer(BalanceLayer::new($gateway.agents(), RoundRobin::new()))
            .layer(ChunkLayer::new())
            .layer(CorrelateLayer::new())
            .service($gateway.transport())
    };
}

async fn assert_served(addr: SocketAddr) {
    for version in [Version::Http1, Version::Http2] {
        let mut client = Client::connect(version, addr).await;
        let response = client.get("/").await;
        assert_eq!(response.status(), 200);
        assert_eq!(
            response.into_body().collect().await.unwrap().to_bytes(),
            "from the agent"
        );
    }
}

#[tokio::test]
async fn a_tonic_server_takes_the_agents() {
    within_limit(async {
        let gateway = Gateway::builder().open_to_any_agent().build();
        let (agents, outside) = (listener().await, listener().await);
        let (agents_addr, addr) = (agents.local_addr().unwrap(), outside.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        let server = Server::builder()
            .add_service(gateway.tunnel_service())
            .serve_with_incoming(TcpIncoming::from(agents).with_nodelay(Some(true)));
        tasks.spawn(async move { server.await.unwrap() });
        tasks.spawn(gateway.serve(outside, stack!(gateway)).into_future());
        agent(agents_addr, &mut tasks).await;
        assert_served(addr).await;
    })
    .await;
}

#[tokio::test]
async fn an_axum_router_takes_agents_and_the_outside_on_one_port() {
    within_limit(async {
        let gateway = Gateway::builder().open_to_any_agent().build();
        let app = Routes::new(gateway.tunnel_service())
            .into_axum_router()
            .reset_fallback()
            .fallback_service(stack!(gateway));
        let listener = listener().await;
        let addr = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, app).await.unwrap() });
        agent(addr, &mut tasks).await;
        assert_served(addr).await;
    })
    .await;
}
