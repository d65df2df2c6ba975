//! A chat room behind NAT: an axum app with a page and WebSockets, served by an agent and without a port, and the gateway
//! in front of it, in one process.
//!
//! ```sh
//! cargo run --release -p tunnel-examples --bin chat    # then open http://127.0.0.1:8080 in two windows
//! ```
//!
//! `?name=Ada&say=hello` joins and says something at once. Ctrl-C closes every socket with the code 1001, and the page comes
//! back when the program does. With `--once` two clients talk through the tunnel, it prints what they heard, and ends, with
//! the code 1 if anything came out wrong.

mod app;
mod demo;
mod room;

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use http::Method;
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use tunnel_core::BoxError;
use tunnel_examples::{
    Shutdown,
    program::{self, Ports},
};
use tunnel_layers::{
    balance::{BalanceLayer, LeastPending},
    chunk::ChunkLayer,
    correlate::CorrelateLayer,
    deadline::DeadlineLayer,
    rescue::RescueLayer,
    route::{RouteLayer, Rule, RuleProtocol, Rules},
    trace_id::TraceIdLayer,
    upgrade::UpgradeLayer,
};
use tunnel_transport::{Agent, AgentTokens, AllowedGroups, Gateway, entry::Entry};

/// How long sockets may take to end when the program stops.
const DRAIN: Duration = Duration::from_secs(5);

/// A gateway and an agent that serves a chat room, in one process.
#[derive(Debug, Parser)]
struct Options {
    #[command(flatten)]
    ports: Ports,
    /// Talks through the tunnel, prints what was heard, and ends.
    #[arg(long)]
    once: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    program::log("warn");
    match run(&Options::parse()).await {
        Ok(code) => code,
        Err(error) => program::fail("chat", &*error),
    }
}

async fn run(options: &Options) -> Result<ExitCode, BoxError> {
    let shutdown = Shutdown::on_signals()?;
    let (outside, agents) = options.ports.open()?;
    let (listen, agents_listen) = (outside.local_addr()?, agents.local_addr()?);

    let token = uuid::Uuid::new_v4().simple().to_string();
    let agent = Agent::builder(format!("http://{agents_listen}"))
        .token(&token)
        .group("chat")
        .build()?;
    let serve_gateway = gateway(outside, agents, &token, shutdown.clone().asked())?;
    let show = async {
        agent.connected().await;
        println!("ready listen={listen} agents={agents_listen}");
        if options.once {
            return demo::run(listen).await;
        }
        println!("open http://{listen} in two windows");
        std::future::pending().await
    };
    tokio::select! {
        shown = show => shown.map(|()| ExitCode::SUCCESS),
        () = serve_gateway => Ok(ExitCode::SUCCESS),
        served = agent.serve(app::router()).into_future() => Ok(served.map(|()| ExitCode::SUCCESS)?),
        code = shutdown.forced() => Ok(code),
    }
}

/// The gateway with its stack. The future ends when it has stopped.
fn gateway(
    outside: TcpListener,
    agents: TcpListener,
    token: &str,
    asked: impl Future<Output = ()> + Send + 'static,
) -> Result<impl Future<Output = ()>, BoxError> {
    let groups = AllowedGroups::Only(["chat".parse()?].into());
    let gateway = Gateway::builder()
        .agent_auth(AgentTokens::new().token("chat", token, groups)?)
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
    Ok(async move {
        let serve_outside = Entry::new().drain(DRAIN).serve(outside, tunnel);
        tokio::select! {
            () = serve_outside.with_graceful_shutdown(asked).into_future() => {}
            () = gateway.serve_agents(agents).into_future() => {}
        }
    })
}

/// WebSockets go to their path and nowhere else, pages are read; the rest is answered 404.
fn rules() -> Result<Rules, BoxError> {
    let group: tunnel_core::GroupName = "chat".parse()?;
    Ok(Rules::compile([
        Rule::group("sockets", group.clone())
            .path_exact("/ws")
            .protocol(RuleProtocol::WebSocket),
        Rule::group("page", group)
            .method(Method::GET)
            .protocol(RuleProtocol::Http),
    ])?)
}
