//! The whole tunnel in one process, over real sockets: a gateway, an agent with an upstream server, and an agent that serves
//! a tonic service itself.
//!
//! ```sh
//! cargo run --release -p tunnel-examples --bin quickstart
//! ```
//!
//! It sends requests, gRPC calls of all four kinds and messages of a WebSocket through the tunnel, prints what came back (status, bytes, time), and then
//! stays up for `curl`, until Ctrl-C. With `--once` it ends after the demonstration, with the code 1 if anything came out wrong. `RUST_LOG=info` shows
//! what the tunnel does meanwhile.

mod calls;
mod demo;
mod ports;
mod sockets;
mod upstream;

use std::{net::SocketAddr, process::ExitCode};

use clap::Parser;
use http::{StatusCode, header};
use tokio::{net::TcpListener, time::Instant};
use tonic::service::Routes;
use tower::ServiceBuilder;
use tunnel_core::BoxError;
use tunnel_examples::{
    greeter::{GreeterServer, Hello},
    program,
};
use tunnel_layers::{
    balance::{BalanceLayer, LeastPending},
    chunk::ChunkLayer,
    correlate::CorrelateLayer,
    deadline::DeadlineLayer,
    reject::Direct,
    rescue::RescueLayer,
    route::{RouteLayer, Rule, RuleError, Rules},
    trace_id::TraceIdLayer,
    upgrade::UpgradeLayer,
};
use tunnel_transport::{Agent, AgentTokens, AllowedGroups, Gateway, Upstream};

/// A gateway, two agents and an upstream in one process.
#[derive(Debug, Parser)]
struct Options {
    /// Where outside traffic comes in [default: 127.0.0.1:8080, or another port if that is taken].
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
    /// Where the agents come in [default: 127.0.0.1:7000, or another port if that is taken].
    #[arg(long, value_name = "IP:PORT")]
    agents_listen: Option<SocketAddr>,
    /// Ends after the demonstration.
    #[arg(long)]
    once: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    program::log("warn");
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => program::fail("quickstart", &*error),
    }
}

async fn run(options: Options) -> Result<(), BoxError> {
    let outside = ports::open(options.listen, 8080)?;
    let agents = ports::open(options.agents_listen, 7000)?;
    let upstream = ports::open(None, 0)?;
    let (listen, agents_listen) = (outside.local_addr()?, agents.local_addr()?);
    let upstream_url = format!("http://{}", upstream.local_addr()?);
    println!("upstream   {upstream_url}, an axum app");
    println!("gateway    http://{listen} for the outside, {agents_listen} for agents");

    tokio::spawn(async move { axum::serve(upstream, upstream::app()).await });
    let token = uuid::Uuid::new_v4().simple().to_string();
    start_gateway(outside, agents, &token)?;

    let start = Instant::now();
    let agent = || Agent::builder(format!("http://{agents_listen}")).token(token.clone());
    let web = agent().group("demo").build()?;
    let calls = agent().group("greeter").build()?;
    let serve_web = web.serve(Upstream::http1(upstream_url)?);
    let serve_calls = calls.serve(Routes::new(GreeterServer::new(Hello)));
    let show = async {
        web.connected().await;
        calls.connected().await;
        println!(
            "agents     connected in {:.1?}, with the groups `demo` and `greeter`",
            start.elapsed()
        );
        demo::run(listen).await?;
        if !options.once {
            println!("listening on http://{listen} - try: curl http://{listen}/app/hello");
            println!("or a stream of events: curl -N http://{listen}/app/events");
            println!(
                "or a call of gRPC: grpcurl -plaintext -import-path examples/proto -proto greeter/v1/greeter.proto \\"
            );
            println!("    -d '{{\"name\": \"Ada\"}}' {listen} greeter.v1.Greeter/Greet");
            tokio::signal::ctrl_c().await?;
        }
        Ok(())
    };
    tokio::select! {
        shown = show => shown,
        served = serve_web.into_future() => Ok(served?),
        served = serve_calls.into_future() => Ok(served?),
    }
}

/// What goes where.
fn rules() -> Result<Rules, RuleError> {
    let robots = Direct::new(StatusCode::OK)
        .header(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static("text/plain"),
        )
        .body("User-agent: *\nDisallow: /\n");
    let group = |name: &str| name.parse().expect("it is a name");
    Rules::compile([
        Rule::group("app", group("demo"))
            .path_prefix("/app")
            .strip_prefix(),
        Rule::group("greeter", group("greeter")).grpc_service_of::<GreeterServer<Hello>>(),
        Rule::direct("robots", robots).path_exact("/robots.txt"),
    ])
}

/// The gateway: who may connect, the stack, and its two ports.
fn start_gateway(outside: TcpListener, agents: TcpListener, token: &str) -> Result<(), BoxError> {
    let groups = AllowedGroups::Only(["demo".parse()?, "greeter".parse()?].into());
    let gateway = Gateway::builder()
        .agent_auth(AgentTokens::new().token("quickstart", token, groups)?)
        .build();
    let tunnel = ServiceBuilder::new()
        .layer(TraceIdLayer::new())
        .layer(RescueLayer::new())
        .layer(RouteLayer::new(rules()?))
        .layer(DeadlineLayer::new())
        .layer(BalanceLayer::new(gateway.agents(), LeastPending::new()))
        .layer(UpgradeLayer::new())
        .layer(ChunkLayer::new())
        .layer(CorrelateLayer::new())
        .service(gateway.transport());
    tokio::spawn(gateway.serve(outside, tunnel).into_future());
    tokio::spawn(gateway.serve_agents(agents).into_future());
    Ok(())
}
