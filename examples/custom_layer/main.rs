//! A layer of your own between those of the tunnel: `timing.rs` has one that tells the client how long the answer took.
//!
//! ```sh
//! cargo run -p tunnel-examples --bin custom_layer
//! curl -i http://127.0.0.1:8080/slow
//! ```
//!
//! The response has `server-timing: web;dur=...`. Gateway and agent run in this one process. `tests.rs` tests the layer with the testing kit:
//! a whole tunnel without ports, in which time stands still, so that what the layer measures is exact.

#[cfg(test)]
mod tests;
mod timing;

use std::time::Duration;

use axum::{Router, routing::get};
use clap::Parser;
use tower::ServiceBuilder;
use tunnel_core::BoxError;
use tunnel_examples::program::{self, Ports};
use tunnel_layers::{
    balance::{BalanceLayer, RoundRobin},
    chunk::ChunkLayer,
    correlate::CorrelateLayer,
    rescue::RescueLayer,
    route::{RouteLayer, Rule, Rules},
};
use tunnel_transport::{Agent, Gateway};

use crate::timing::TimingLayer;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    program::log("info");
    let (outside, agents) = Ports::parse().open()?;
    let (listen, agents_listen) = (outside.local_addr()?, agents.local_addr()?);

    let gateway = Gateway::builder().open_to_any_agent().build();
    let rules = Rules::compile([Rule::group("web", "web".parse()?)])?;
    let tunnel = ServiceBuilder::new()
        .layer(RescueLayer::new())
        .layer(RouteLayer::new(rules))
        // Inside `RouteLayer`, since it reads which rule matched; outside all that takes time.
        .layer(TimingLayer)
        .layer(BalanceLayer::new(gateway.agents(), RoundRobin::new()))
        .layer(ChunkLayer::new())
        .layer(CorrelateLayer::new())
        .service(gateway.transport());

    let app = app();
    let agent = Agent::builder(format!("http://{agents_listen}"))
        .group("web")
        .build()?;

    println!("ready listen={listen} agents={agents_listen}");
    tokio::select! {
        () = gateway.serve(outside, tunnel).into_future() => {}
        () = gateway.serve_agents(agents).into_future() => {}
        served = agent.serve(app).into_future() => served?,
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(())
}

fn app() -> Router {
    Router::new().route("/slow", get(slow))
}

async fn slow() -> &'static str {
    tokio::time::sleep(Duration::from_millis(50)).await;
    "that took a while\n"
}
