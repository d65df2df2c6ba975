//! One listener for everything, and one agent with a page and a tonic service.

use std::{future::IntoFuture as _, net::SocketAddr};

use axum::{Router, routing::get};
use tokio::task::JoinSet;
use tonic::server::NamedService;
use tower::ServiceBuilder;
use tunnel_core::{GroupName, agents::Services};
use tunnel_layers::{
    balance::{BalanceLayer, LeastPending},
    chunk::ChunkLayer,
    correlate::CorrelateLayer,
    deadline::DeadlineLayer,
    grpc_web::{Cors, GrpcWebLayer},
    rescue::RescueLayer,
    route::{RouteLayer, Rule, Rules},
    trace_id::TraceIdLayer,
    upgrade::UpgradeLayer,
};
use tunnel_tests::tunnel::{GROUP, Tunnel, address, group, listener};

use crate::{pb::test_service_server::TestServiceServer, server::Server};

/// The site whose pages may make calls.
pub(crate) const PAGE: &str = "https://app.example.com";

/// One listener for everything, and what is behind it.
pub(crate) struct World {
    pub(crate) tunnel: Tunnel,
    pub(crate) server: Server,
    pub(crate) addr: SocketAddr,
    agent: JoinSet<()>,
    _entry: JoinSet<()>,
}

/// The agent brings the test service, so that no rule names it.
#[derive(Clone, Debug)]
struct Brought;

impl Services for Brought {
    fn group_of(&self, service: &str) -> Option<GroupName> {
        (service == TestServiceServer::<Server>::NAME).then(|| group(GROUP))
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        let mut tunnel = Tunnel::builder().start().await;
        let server = Server::new();
        let app = server
            .routes()
            .into_axum_router()
            .route("/page", get(|| async { "page" }))
            .route("/chat", get(|| async { "plain chat" }));
        let agent = run_agent(&mut tunnel, app).await;
        let outside = listener().await;
        let addr = address(&outside);
        let pages = Rules::compile([
            Rule::group("page", group(GROUP)).path_prefix("/page"),
            Rule::group("chat", group(GROUP)).path_prefix("/chat"),
        ]);
        let stack = ServiceBuilder::new()
            .layer(TraceIdLayer::new())
            .layer(GrpcWebLayer::new().cors(Cors::origins([PAGE]).expect("an origin")))
            .layer(RescueLayer::new())
            .layer(RouteLayer::new(pages.expect("the rules are right")).services(Brought))
            .layer(DeadlineLayer::new())
            .layer(BalanceLayer::new(tunnel.gateway.agents(), LeastPending::new()))
            .layer(UpgradeLayer::new())
            .layer(ChunkLayer::new())
            .layer(CorrelateLayer::new())
            .service(tunnel.gateway.transport());
        let mut entry = JoinSet::new();
        entry.spawn(tunnel.gateway.serve(outside, stack).into_future());
        Self {
            tunnel,
            server,
            addr,
            agent,
            _entry: entry,
        }
    }

    /// Ends the agent, as when its process is killed.
    pub(crate) async fn kill_agent(&mut self) {
        self.agent.shutdown().await;
    }
}

async fn run_agent(tunnel: &mut Tunnel, app: Router) -> JoinSet<()> {
    let agent = tunnel.agent(GROUP).build().expect("settings that are right");
    let serve = agent.serve(app).into_future();
    let mut task = JoinSet::new();
    task.spawn(async move { serve.await.expect("the agent is not refused") });
    agent.connected().await;
    tunnel.agents.push(agent);
    task
}
