//! An agent whose own code calls what its gateway reaches, with the stub that tonic generates: the other direction of the session.
//!
//! ```sh
//! cargo run -p tunnel-examples --bin typed_client    # in one terminal: a gateway that takes calls of agents
//! cargo run -p tunnel-examples --bin tonic_app       # in another: the service
//! cargo run -p tunnel-examples --bin agent_client    # in a third
//! curl http://127.0.0.1:8080/ask/Ada                 # comes down to the handler here, which asks back up
//! curl http://127.0.0.1:9000/                        # a port beside the agent: 404, the gateway has no rule for this
//! ```
//!
//! The handler knows neither where the service is nor who serves it: the gateway decides by rules of its own, and by who this agent
//! is. Without a connection to the gateway a call is UNAVAILABLE at once.

use std::{net::SocketAddr, time::Duration};

use axum::{Router, extract::Path, http::StatusCode, routing::get};
use clap::Parser;
use tonic::Request;
use tower::ServiceBuilder;
use tunnel_core::BoxError;
use tunnel_examples::{
    greeter::{GreetRequest, GreeterClient},
    program,
};
use tunnel_layers::{target::ClientExt as _, trace_id::TraceIdLayer};
use tunnel_transport::{Agent, entry::Entry};

#[derive(Debug, Parser)]
struct Options {
    /// The gateway.
    #[arg(long, default_value = "http://127.0.0.1:7000")]
    gateway: String,
    /// Where programs beside the agent ask the gateway; port 0 lets the system choose.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    program::log("info");
    let options = Options::parse();
    let agent = Agent::builder(options.gateway)
        .id("desk-1")
        .group("desk")
        .build()?;

    // For the code below: a generated client takes the agent's gateways as its channel.
    let client = GreeterClient::new(agent.client());
    let ask = move |Path(name): Path<String>| {
        let mut client = client.clone();
        async move {
            let mut request = Request::new(GreetRequest { name });
            request.set_timeout(Duration::from_secs(5));
            match client.greet(request).await {
                Ok(answer) => (StatusCode::OK, answer.into_inner().greeting + "\n"),
                Err(status) => (
                    StatusCode::BAD_GATEWAY,
                    format!("{:?}: {}\n", status.code(), status.message()),
                ),
            }
        }
    };
    let app = Router::new().route("/ask/{name}", get(ask));

    // For programs beside the agent, in whatever language: the same, as a port.
    let port = program::listen(options.listen)?;
    let addr = port.local_addr()?;
    let local = ServiceBuilder::new()
        .layer(TraceIdLayer::new())
        .service(agent.client());

    let announce = async {
        agent.connected().await;
        println!("ready agent={} listen={addr}", agent.id());
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = Entry::new().serve(port, local).into_future() => {}
        served = agent.serve(app).into_future() => served?,
        () = announce => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(())
}
