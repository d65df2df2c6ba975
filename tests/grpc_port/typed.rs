//! Code in the gateway's process calls services behind agents with generated clients.

use tonic::{Code, Status, service::Routes, transport::Endpoint};
use tonic_health::{
    ServingStatus,
    pb::{HealthCheckRequest, health_check_response::ServingStatus as Answer, health_client::HealthClient},
    server::health_reporter,
};
use tunnel_core::Services as _;
use tunnel_layers::target::GroupExt as _;
use tunnel_tests::{
    tunnel::{Tunnel, group},
    wait::within_limit,
};

/// A generated client of the group, whatever the rules of the entry are.
macro_rules! client {
    ($gateway:expr, $group:expr) => {
        HealthClient::new($gateway.group(group($group)))
    };
}

fn ask(service: &str) -> HealthCheckRequest {
    let service = service.to_owned();
    HealthCheckRequest { service }
}

fn code(status: &Status) -> (Code, &str) {
    (status.code(), status.message())
}

#[tokio::test]
async fn a_generated_client_takes_a_group_as_its_channel() {
    within_limit(async {
        let mut tunnel = Tunnel::builder().start().await;
        let gateway = tunnel.gateway.clone();
        let mut client = client!(gateway, "billing");
        let nobody = client.check(ask("")).await.unwrap_err();
        assert_eq!(code(&nobody), (Code::Unavailable, "no healthy agent"));

        // The service's name stands nowhere but in its type.
        let (reporter, server) = health_reporter();
        let agent = tunnel.agent("billing").grpc_service(&server);
        tunnel.run_agent(agent, Routes::new(server)).await;
        let owner = gateway.agents().group_of("grpc.health.v1.Health");
        assert_eq!(owner, Some(group("billing")));

        let answer = client.check(ask("")).await.unwrap().into_inner();
        assert_eq!(answer.status(), Answer::Serving);
        let theirs = client.clone().check(ask("no.such")).await.unwrap_err();
        assert_eq!(theirs.code(), Code::NotFound);

        let mut watch = client.watch(ask("")).await.unwrap().into_inner();
        assert_eq!(watch.message().await.unwrap().unwrap().status(), Answer::Serving);
        for (set, seen) in [
            (ServingStatus::NotServing, Answer::NotServing),
            (ServingStatus::Serving, Answer::Serving),
        ] {
            reporter.set_service_status("", set).await;
            assert_eq!(watch.message().await.unwrap().unwrap().status(), seen);
        }
        drop(watch);
        tunnel.settled().await;
    })
    .await;
}

/// What the entry's rules do not name goes to the agent that registered the service: an upstream's own health, here.
#[tokio::test]
async fn the_outside_calls_a_service_that_an_agent_registered() {
    within_limit(async {
        let mut tunnel = Tunnel::builder().rules([]).start().await;
        let channel = Endpoint::from_shared(tunnel.url(""))
            .unwrap()
            .connect()
            .await
            .unwrap();
        let mut client = HealthClient::new(channel);
        let nobody = client.check(ask("")).await.unwrap_err();
        assert_eq!(code(&nobody), (Code::NotFound, "no matching rule"));

        let (reporter, server) = health_reporter();
        reporter
            .set_service_status("theirs", ServingStatus::NotServing)
            .await;
        let agent = tunnel.agent("billing").grpc_service(&server);
        tunnel.run_agent(agent, Routes::new(server)).await;
        let answer = client.check(ask("theirs")).await.unwrap().into_inner();
        assert_eq!(answer.status(), Answer::NotServing);
        let mut watch = client.watch(ask("theirs")).await.unwrap().into_inner();
        assert_eq!(
            watch.message().await.unwrap().unwrap().status(),
            Answer::NotServing
        );
        reporter
            .set_service_status("theirs", ServingStatus::Serving)
            .await;
        assert_eq!(watch.message().await.unwrap().unwrap().status(), Answer::Serving);
        drop(watch);
        tunnel.settled().await;
    })
    .await;
}
