//! A gateway composed by hand: the layers in a `ServiceBuilder`, mounted beside the routes of an axum app.
//!
//! ```sh
//! cargo run -p tunnel-examples --bin custom_gateway    # in one terminal
//! cargo run -p tunnel-examples --bin axum_app          # in another
//! curl http://127.0.0.1:8080/healthz                   # answered here
//! curl http://127.0.0.1:8080/hello/world               # answered by the app behind the agent
//! ```
//!
//! Leave a layer out, change their order, or put any other tower layer between them: see `custom_layer`.

use axum::{Router, routing::get};
use clap::Parser;
use tower::ServiceBuilder;
use tunnel_core::BoxError;
use tunnel_examples::program::{self, Ports};
use tunnel_layers::{
    balance::{BalanceLayer, LeastPending},
    chunk::ChunkLayer,
    correlate::CorrelateLayer,
    deadline::DeadlineLayer,
    rescue::RescueLayer,
    route::{RouteLayer, Rule, Rules},
    trace_id::TraceIdLayer,
    upgrade::UpgradeLayer,
};
use tunnel_transport::Gateway;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    program::log("info");
    let (outside, agents) = Ports::parse().open()?;

    // Only programs of this machine reach the agents' port; anywhere else: `agent_auth(AgentTokens::new().token(...)?)`.
    let gateway = Gateway::builder().open_to_any_agent().build();
    let rules = Rules::compile([Rule::group("web", "web".parse()?)])?;
    let tunnel = ServiceBuilder::new()
        .layer(TraceIdLayer::new())
        .layer(RescueLayer::new())
        .layer(RouteLayer::new(rules))
        .layer(DeadlineLayer::new())
        .layer(BalanceLayer::new(gateway.agents(), LeastPending::new()))
        .layer(UpgradeLayer::new())
        .layer(ChunkLayer::new())
        .layer(CorrelateLayer::new())
        .service(gateway.transport());
    let app = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .fallback_service(tunnel);

    println!(
        "ready listen={} agents={}",
        outside.local_addr()?,
        agents.local_addr()?
    );
    tokio::select! {
        () = gateway.serve(outside, app).into_future() => {}
        () = gateway.serve_agents(agents).into_future() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(())
}
