//! A gateway whose own code calls services behind agents, with the stub that tonic generates; and so may its agents.
//!
//! ```sh
//! cargo run -p tunnel-examples --bin typed_client    # in one terminal
//! cargo run -p tunnel-examples --bin tonic_app       # in another
//! curl http://127.0.0.1:8080/greet/Ada               # the handler here calls the service there
//! ```
//!
//! Clients on the outside reach the same service through the rule: see `tonic_app`. So do agents, through the session that they
//! have: see `agent_client`, to which `/ask` goes.

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
    auth::{AgentCallers, AuthLayer},
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
    let greeter = |id: &str| Rule::group(id, group.clone()).grpc_service_of::<GreeterServer<Hello>>();
    let desk = Rule::group("desk", "desk".parse()?).path_prefix("/ask");
    let tunnel = ServiceBuilder::new()
        .layer(TraceIdLayer::new())
        .layer(RescueLayer::new())
        .layer(RouteLayer::new(Rules::compile([greeter("greeter"), desk])?))
        .layer(DeadlineLayer::new())
        .layer(BalanceLayer::new(gateway.agents(), LeastPending::new()))
        .layer(UpgradeLayer::new())
        .layer(ChunkLayer::new())
        .layer(CorrelateLayer::new())
        .service(gateway.transport());

    // For agents: the same stack, with other rules, and `AgentCallers` in it say which agent may ask what.
    let calls = ServiceBuilder::new()
        .layer(TraceIdLayer::new())
        .layer(RescueLayer::new())
        .layer(RouteLayer::new(Rules::compile([greeter("asked")])?))
        .layer(AuthLayer::new(AgentCallers::any()))
        .layer(DeadlineLayer::new())
        .layer(BalanceLayer::new(gateway.agents(), LeastPending::new()))
        .layer(UpgradeLayer::new())
        .layer(ChunkLayer::new())
        .layer(CorrelateLayer::new())
        .service(gateway.transport());
    gateway.serve_calls(calls);

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
