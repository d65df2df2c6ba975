//! The operator's agent, from a YAML file: it forwards what comes through the tunnel to upstreams.
//!
//! ```sh
//! export TUNNEL_TOKEN=...   # the one that the gateway knows
//! cargo run --release -p tunnel-examples --bin agent -- --config examples/config/agent.yaml
//! ```
//!
//! `--check` reads the file, says what is wrong in it, and starts nothing. Once it is connected for the first time, one line
//! goes to the standard output: `ready agent=ID gateway=http://127.0.0.1:7000`. It connects again by itself whenever the
//! connection is lost. Ctrl-C or SIGTERM lets exchanges finish (at most `drain`), a second signal ends the agent at once.
//! `--threads` sets how many threads work.
//!
//! Exit codes: 0 after a graceful stop, 1 if the file is wrong or the gateway refuses the agent, 2 for a wrong command line,
//! 128 and the signal's number when forced.

use std::{convert::Infallible, process::ExitCode};

use clap::Parser;
use tracing::{info, warn};
use tunnel_core::BoxError;
use tunnel_examples::{
    Shutdown,
    config::AgentConfig,
    program::{self, Options},
};

fn main() -> ExitCode {
    Options::parse().run(start)
}

async fn start(options: Options) -> ExitCode {
    // Before the file is read, which may tell of certificates that have expired.
    program::log("info");
    let config = match options.load(AgentConfig::load) {
        Ok(config) => config,
        Err(code) => return code,
    };
    match run(config).await {
        Ok(code) => code,
        Err(error) => program::fail("agent", &*error),
    }
}

async fn run(config: AgentConfig) -> Result<ExitCode, BoxError> {
    let shutdown = Shutdown::on_signals()?;
    let agent = config.agent;
    let serve = agent
        .serve(config.upstreams)
        .with_graceful_shutdown(shutdown.clone().asked());
    let announce = async {
        agent.connected().await;
        println!("ready agent={} gateway={}", agent.id(), config.gateway);
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        served = serve.into_future() => {
            served?;
            info!("stopped");
            Ok(ExitCode::SUCCESS)
        }
        code = shutdown.forced() => {
            warn!("forced to stop");
            Ok(code)
        }
        never = announce => match never {},
    }
}
