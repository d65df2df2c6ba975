//! The operator's gateway, from a YAML file.
//!
//! ```sh
//! export TUNNEL_TOKEN=$(openssl rand -hex 32)
//! cargo run --release -p tunnel-examples --bin gateway -- --config examples/config/gateway.yaml
//! ```
//!
//! `--check` reads the file, says what is wrong in it, and starts nothing. When both ports are open, one line goes to the
//! standard output: `ready listen=127.0.0.1:8080 agents=127.0.0.1:7000`. Ctrl-C or SIGTERM lets exchanges finish (at most
//! `drain`), a second signal ends the gateway at once. `RUST_LOG` sets what is logged, to the standard error. `--threads` sets how
//! many threads work.
//!
//! Exit codes: 0 after a graceful stop, 1 if the file is wrong or a port cannot be opened, 2 for a wrong command line,
//! 128 and the signal's number when forced.

use std::{process::ExitCode, sync::Arc};

use clap::Parser;
use tokio::sync::oneshot;
use tower::ServiceBuilder;
use tracing::{info, warn};
use tunnel_core::BoxError;
use tunnel_examples::{
    Shutdown,
    config::{Access, GatewayConfig},
    program::{self, Options},
};
use tunnel_layers::{
    balance::BalanceLayer, chunk::ChunkLayer, correlate::CorrelateLayer, grpc_web::GrpcWebLayer,
    rescue::RescueLayer, route::RouteLayer, trace_id::TraceIdLayer,
};

fn main() -> ExitCode {
    Options::parse().run(start)
}

async fn start(options: Options) -> ExitCode {
    // Before the file is read, which may tell of certificates that have expired.
    program::log("info");
    let config = match options.load(GatewayConfig::load) {
        Ok(config) => config,
        Err(code) => return code,
    };
    match run(config).await {
        Ok(code) => code,
        Err(error) => program::fail("gateway", &*error),
    }
}

async fn run(config: GatewayConfig) -> Result<ExitCode, BoxError> {
    let shutdown = Shutdown::on_signals()?;
    let outside = program::listen(config.listen)?;
    let agents = program::listen(config.agents_listen)?;
    let (listen, agents_listen) = (outside.local_addr()?, agents.local_addr()?);
    if config.access == Access::Open {
        warn!(%agents_listen, "open: whoever reaches this port may take every request");
    }

    let gateway = config.gateway;
    let grpc_web = config
        .cors
        .into_iter()
        .fold(GrpcWebLayer::new(), GrpcWebLayer::cors);
    let route = RouteLayer::new(config.rules).hosts(gateway.agents());
    let route = if config.route_services {
        route.services(gateway.agents())
    } else {
        route
    };
    let tunnel = ServiceBuilder::new()
        .layer(TraceIdLayer::new())
        .layer(grpc_web)
        .layer(RescueLayer::new())
        .layer(route)
        .layer(config.guards)
        .layer(BalanceLayer::new(gateway.agents(), config.balance))
        .layer(config.upgrade)
        .layer(ChunkLayer::new())
        .layer(CorrelateLayer::new())
        .service(gateway.transport());

    // Agents stay until the outside has been served, so that nobody is refused because of the order.
    let (served, all_served) = oneshot::channel::<()>();
    let asked = shutdown.clone().asked();
    let serve_outside = async {
        config
            .entry
            // The layers admit requests by the policy that they find.
            .extension(Arc::new(config.policy))
            .serve(outside, tunnel)
            .with_graceful_shutdown(asked)
            .await;
        drop(served);
    };
    let serve_agents = config.agents_limits.agents(gateway.serve_agents(agents));
    let serve_agents = match config.agents_tls {
        Some(tls) => tls.agents(serve_agents),
        None => serve_agents,
    };
    let serve_agents = serve_agents.drain(config.drain).with_graceful_shutdown(async {
        let _ = all_served.await;
    });
    println!("ready listen={listen} agents={agents_listen}");
    tokio::select! {
        ((), ()) = async { tokio::join!(serve_outside, serve_agents.into_future()) } => {
            info!("stopped");
            Ok(ExitCode::SUCCESS)
        }
        code = shutdown.forced() => {
            warn!("forced to stop");
            Ok(code)
        }
    }
}
