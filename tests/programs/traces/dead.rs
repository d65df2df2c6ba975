//! Collectors that are not there, or say nothing.

use axum::Router;
use tunnel_tests::{
    origin::Origin,
    tunnel::{address, closed_port, listener},
    wait::within_limit,
};

use super::{OBSERVED, measured};
use crate::{
    program::{Running, program},
    world::{Files, RunningGateway, TO_WEB, agent_file, gateway_file, get},
};

/// Both programs, with an origin behind them, and what they stand on.
struct World {
    gateway: RunningGateway,
    agent: Running,
    _origin: Origin,
    _files: Files,
}

impl World {
    /// Both tell their traces to this collector. With more in the gateway's file.
    async fn start(collector: &str, of_gateway: &str) -> Self {
        let origin = Origin::http1(Router::new().fallback(async || "ok")).await;
        let files = Files::new();
        let traces = format!("traces: {{otlp: \"{collector}\"}}\n");
        let text = gateway_file(TO_WEB) + &traces + of_gateway;
        let gateway =
            RunningGateway::start("gateway", &["--config", &files.write("gateway.yaml", &text)]).await;
        let text = agent_file(gateway.agents, &format!("{{url: \"{}\"}}", origin.uri())) + &traces;
        let mut agent = Running::start(program("agent", &["--config", &files.write("agent.yaml", &text)]));
        agent.line("ready ").await;
        Self {
            gateway,
            agent,
            _origin: origin,
            _files: files,
        }
    }

    async fn answers(&self) {
        assert_eq!(get(self.gateway.listen, "/").await, (200, "ok".to_owned()));
    }
}

/// Nobody notices: not the requests, and at the end both programs wait for a bounded time only.
async fn nobody_notices(collector: &str) {
    let world = World::start(collector, "").await;
    within_limit(async {
        for _ in 0..200 {
            world.answers().await;
        }
    })
    .await;
    for program in [world.gateway.program, world.agent] {
        program.signal("TERM");
        let ended = within_limit(program.ended()).await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn a_collector_that_is_not_there_disturbs_nobody() {
    let (_kept, addr) = closed_port();
    nobody_notices(&format!("http://{addr}")).await;
}

#[tokio::test]
async fn what_no_collector_takes_is_counted() {
    let (_kept, addr) = closed_port();
    let world = World::start(&format!("http://{addr}"), OBSERVED).await;
    let admin = world.gateway.admin.expect("it is in the file");
    within_limit(async {
        world.answers().await;
        measured(admin, "tunnel_spans_total{outcome=\"dropped\"} 5").await;
    })
    .await;
}

#[tokio::test]
async fn a_collector_that_never_answers_disturbs_nobody() {
    let silent = listener().await;
    nobody_notices(&format!("http://{}", address(&silent))).await;
}
