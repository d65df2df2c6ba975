//! What users of grpcio see of the tunnel's own errors.

use std::{net::SocketAddr, time::Duration};

use tunnel_layers::route::Rule;
use tunnel_tests::tunnel::{GROUP, Tunnel, closed_port, group};
use tunnel_transport::Upstream;

use super::python::{Python, Script};
use crate::{
    server::Server,
    world::{Place, World, within},
};

/// What makes a call fail.
#[derive(Clone, Copy, Debug)]
enum Fault {
    NoRule,
    NoAgent,
    RefusedUpstream,
    LargeHead,
    Timeout,
    TimeoutAfterHead,
    AgentKilled,
    AgentKilledAfterHead,
}

/// The fault, and what a user of grpcio sees: code, cause and details.
const SEEN: [(Fault, &str); 8] = [
    (Fault::NoRule, "NOT_FOUND no-route no matching rule"),
    (Fault::NoAgent, "UNAVAILABLE no-agent no healthy agent"),
    (Fault::RefusedUpstream, "UNAVAILABLE upstream "),
    (Fault::LargeHead, "RESOURCE_EXHAUSTED head-too-large "),
    (Fault::Timeout, "DEADLINE_EXCEEDED deadline "),
    (Fault::TimeoutAfterHead, "DEADLINE_EXCEEDED deadline "),
    (Fault::AgentKilled, "UNAVAILABLE agent-lost "),
    (Fault::AgentKilledAfterHead, "UNAVAILABLE agent-lost "),
];

#[tokio::test]
async fn what_grpcio_sees_of_our_errors() {
    let Some(python) = Python::find("errors") else {
        return;
    };
    println!("| fault | code | cause | details |\n| --- | --- | --- | --- |");
    for (fault, seen) in SEEN {
        let outcome = within(&format!("{fault:?}"), cause(&python, fault)).await;
        let mut words = outcome.splitn(3, ' ');
        let mut word = || words.next().unwrap_or_default();
        println!("| {fault:?} | {} | {} | {} |", word(), word(), word());
        assert!(outcome.starts_with(seen), "{fault:?}: {outcome}");
    }
}

/// Makes a call fail in this way, and gives what the client saw.
async fn cause(python: &Python, fault: Fault) -> String {
    match fault {
        Fault::NoRule => {
            let rule = Rule::group("other", group(GROUP)).path_prefix("/other");
            let tunnel = Tunnel::builder().rules([rule]).start().await;
            Outcome::start(python, tunnel.addr, "unary").end().await
        }
        Fault::NoAgent => {
            let tunnel = Tunnel::builder().start().await;
            Outcome::start(python, tunnel.addr, "unary").end().await
        }
        Fault::RefusedUpstream => {
            let (_port, closed) = closed_port();
            let upstream = Upstream::h2c(format!("http://{closed}")).expect("an address");
            let tunnel = Tunnel::serve(upstream).await;
            Outcome::start(python, tunnel.addr, "unary").end().await
        }
        Fault::LargeHead => {
            let world = World::new(Place::Agent).await;
            Outcome::start(python, world.addr, "large-head").end().await
        }
        Fault::Timeout => timeout(python, "hang").await,
        Fault::TimeoutAfterHead => timeout(python, "stream").await,
        Fault::AgentKilled => {
            let mut world = World::new(Place::Agent).await;
            let outcome = Outcome::start(python, world.addr, "hang");
            world.server.calls.running(1).await;
            world.kill_agent().await;
            outcome.end().await
        }
        Fault::AgentKilledAfterHead => {
            let mut world = World::new(Place::Agent).await;
            let mut outcome = Outcome::start(python, world.addr, "stream");
            assert_eq!(outcome.0.line().await.as_deref(), Some("first"));
            world.kill_agent().await;
            outcome.end().await
        }
    }
}

/// A rule's timeout passes.
async fn timeout(python: &Python, kind: &str) -> String {
    let rule = Rule::group("all", group(GROUP)).timeout(Duration::from_secs(1));
    let world = World::with(Place::Agent, Server::new(), Tunnel::builder().rules([rule])).await;
    let outcome = Outcome::start(python, world.addr, kind).end().await;
    world.settled().await;
    outcome
}

/// A call that is to fail.
struct Outcome(Script);

impl Outcome {
    fn start(python: &Python, addr: SocketAddr, kind: &str) -> Self {
        Self(python.run("client.py", &[&addr.to_string(), "outcome", kind]))
    }

    async fn end(mut self) -> String {
        loop {
            let line = self.0.line().await.expect("the client tells how it ended");
            if let Some(outcome) = line.strip_prefix("outcome ") {
                return outcome.to_owned();
            }
        }
    }
}
