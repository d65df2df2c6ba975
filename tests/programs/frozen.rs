//! A process that stands still is not there, though its connections are.

use std::net::SocketAddr;

use tokio::time::Instant;
use tonic::{Streaming, transport::Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};
use tunnel_tests::{
    origin::{Origin, recorder},
    wait::within_limit,
};

use crate::{
    program::{Running, program},
    world::{Files, RunningGateway, TO_WEB, agent_file, gateway_file, get},
};

/// What the gateway says of the group `web`, now and from now on.
pub(crate) async fn health(agents: SocketAddr) -> Streaming<HealthCheckResponse> {
    let endpoint = Endpoint::from_shared(format!("http://{agents}")).expect("an address");
    let channel = endpoint.connect().await.expect("it listens");
    let request = HealthCheckRequest {
        service: "group:web".to_owned(),
    };
    let answers = HealthClient::new(channel).watch(request).await;
    answers.expect("it has health").into_inner()
}

/// Waits until the health is this.
async fn until(health: &mut Streaming<HealthCheckResponse>, status: ServingStatus) {
    loop {
        let answer = health
            .message()
            .await
            .expect("the gateway runs")
            .expect("for ever");
        if answer.status() == status {
            return;
        }
    }
}

#[tokio::test]
async fn a_frozen_agent_is_noticed_and_comes_back() {
    let files = Files::new();
    let text = gateway_file(TO_WEB).replacen(
        "agents:\n",
        "agents:\n  heartbeat: {interval: 200ms, timeout: 800ms}\n",
        1,
    );
    let file = files.write("gateway.yaml", &text);
    // Builds the programs, which no bound counts.
    let _ = program("gateway", &[]);
    within_limit(async {
        let (app, _seen) = recorder("here");
        let origin = Origin::http1(app).await;
        let gateway = RunningGateway::start("gateway", &["--config", &file]).await;
        let upstream = format!("{{url: \"{}\"}}", origin.uri());
        let file = files.write("agent.yaml", &agent_file(gateway.agents, &upstream));
        let mut agent = Running::start(program("agent", &["--config", &file]));
        agent.line("ready ").await;
        let mut health = health(gateway.agents).await;
        until(&mut health, ServingStatus::Serving).await;
        assert_eq!(get(gateway.listen, "/").await, (200, "here".to_owned()));

        let start = Instant::now();
        agent.signal("STOP");
        until(&mut health, ServingStatus::NotServing).await;
        let suspected = start.elapsed();
        // One that is open may go down with it; then there is nobody.
        while get(gateway.listen, "/").await.0 != 503 {}
        println!(
            "a frozen agent: suspected after {suspected:?}, given up after {:?}",
            start.elapsed()
        );

        agent.signal("CONT");
        until(&mut health, ServingStatus::Serving).await;
        assert_eq!(get(gateway.listen, "/").await, (200, "here".to_owned()));
    })
    .await;
}
