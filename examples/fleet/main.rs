//! A fleet in one process: gateways and agents that come, are drained, leave and die under load, while clients lose nothing.
//!
//! ```sh
//! cargo run -p tunnel-examples --bin fleet
//! ```
//!
//! It prints who answered at each step, and at the end how many requests were lost; the code is 1 if any was.

mod front;
mod gateway;

use std::{
    net::SocketAddr,
    process::ExitCode,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::Router;
use tokio::{task::AbortHandle, time::sleep};
use tunnel_core::{AgentId, BoxError};
use tunnel_examples::program;
use tunnel_transport::{Agent, AgentError};

use self::{front::Front, gateway::Running};

/// The addresses that the name of the gateways has: what DNS is elsewhere.
type Name = Arc<Mutex<Vec<SocketAddr>>>;

#[tokio::main]
async fn main() -> ExitCode {
    program::log("error");
    match run().await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => program::fail("fleet", &*error),
    }
}

/// How many requests were lost.
async fn run() -> Result<usize, BoxError> {
    let name = Name::default();
    let (front, mut gateways) = (Front::default(), Vec::new());
    for _ in 0..2 {
        gateways.push(join(&name)?);
    }
    let mut agents = Vec::new();
    for number in 1..=3 {
        agents.push(start_agent(&format!("agent-{number}"), &name)?);
    }
    ready(&agents, &gateways, &front).await;
    let load = front.load();
    front.show("all share").await?;

    // By an operator: no new requests, and a way back.
    let drained: AgentId = "agent-1".parse()?;
    for gateway in &gateways {
        gateway
            .gateway
            .drain_agent(&drained, Duration::from_secs(5))
            .await;
    }
    front.show("agent-1 is drained").await?;
    for gateway in &gateways {
        gateway.gateway.resume_agent(&drained);
    }
    front.show("agent-1 is resumed").await?;

    // Another gateway takes the place of the first: agents find it by the name, and clients come when they are there.
    gateways.push(join(&name)?);
    ready(&agents, &gateways, &front).await;
    let first = gateways.remove(0);
    locked(&name).retain(|address| *address != first.agents);
    front.set(gateways.iter().map(|gateway| gateway.outside));
    first.stop().await?;
    front.show("a gateway is new").await?;

    // As a crash does: its connections are gone at once.
    let (_, dead) = agents.remove(2);
    dead.abort();
    front.show("agent-3 is dead").await?;

    let (sent, lost) = load.finish().await;
    println!(
        "{:<20} {lost} of {sent} requests that were sent meanwhile",
        "lost"
    );
    Ok(lost)
}

/// Starts a gateway, and gives the name its address.
fn join(name: &Name) -> Result<Running, BoxError> {
    let gateway = Running::start()?;
    locked(name).push(gateway.agents);
    Ok(gateway)
}

/// Waits until each agent has a session with each gateway; then they get requests.
async fn ready(agents: &[(Agent, AbortHandle)], gateways: &[Running], front: &Front) {
    for (agent, _) in agents {
        while agent.sessions().len() < gateways.len() {
            sleep(Duration::from_millis(10)).await;
        }
    }
    front.set(gateways.iter().map(|gateway| gateway.outside));
}

/// An agent that says its name, and what ends it.
fn start_agent(id: &str, name: &Name) -> Result<(Agent, AbortHandle), AgentError> {
    let name = name.clone();
    let agent = Agent::builder("http://gateways.internal:7000")
        .id(id)
        .group("web")
        .resolver(move |_, _| {
            let found = locked(&name).clone();
            async move { Ok(found) }
        })
        .lookup_interval(Duration::from_millis(100))
        .build()?;
    let text = id.to_owned();
    let serve = agent.serve(Router::new().fallback(async move || text));
    let task = tokio::spawn(async move { serve.await });
    Ok((agent, task.abort_handle()))
}

fn locked(name: &Name) -> MutexGuard<'_, Vec<SocketAddr>> {
    name.lock().unwrap_or_else(PoisonError::into_inner)
}
