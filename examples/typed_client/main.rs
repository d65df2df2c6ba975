//! A gateway whose own code calls services behind agents, with the stub that tonic generates.
//!
//! ```sh
//! cargo run -p tunnel-examples --bin typed_client    # in one terminal
//! cargo run -p tunnel-examples --bin tonic_app       # in another
//! curl http://127.0.0.1:8080/greet/Ada               # the handler here calls the service there
//! ```
//!
//! Clients on the outside reach the same service through the rule: see `tonic_app`.

use std::time::Duration;

use axum::{Router, extract::Path, http::StatusCode, routing::get};
use clap::Parser;
use tonic::{Request, Status};
use tower::ServiceBuilder;
use tunnel_core::{BoxError, GroupName};
use tunnel_examples::{
    greeter::{GreetRequest, GreeterClient, GreeterServer, Hello},
    program::{self, Ports},
};
use tunnel_layers::{
    balance::{BalanceLayer, LeastPending},
    chunk::ChunkLayer,
    correlate::CorrelateLayer,
    deadline::DeadlineLayer,
    rescue::RescueLayer,
    route::{RouteLayer, Rule, Rules},
    target::GroupExt as _,
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
    let group: GroupName = "greeter".parse()?;

    // For the code below: a generated client takes a group of agents as its channel.
    let client = GreeterClient::new(gateway.group(group.clone()));
    let greet = move |Path(name): Path<String>| {
        let mut client = client.clone();
        async move {
            let mut request = Request::new(GreetRequest { name });
            request.set_timeout(Duration::from_secs(5));
            match client.greet(request).await {
                Ok(answer) => (StatusCode::OK, answer.into_inner().greeting + "\n"),
                Err(status) => (StatusCode::BAD_GATEWAY, told(&status)),
            }
        }
    };

    // For clients on the outside: the name of the service comes out of the generated code.
    let rules = Rules::compile([Rule::group("greeter", group).grpc_service_of::<GreeterServer<Hello>>()])?;
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
        .route("/greet/{name}", get(greet))
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

fn told(status: &Status) -> String {
    format!("{:?}: {}\n", status.code(), status.message())
}
