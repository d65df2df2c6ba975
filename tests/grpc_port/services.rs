//! gRPC services that agents register by their names.

use axum::Router;
use tonic::server::NamedService;
use tunnel_core::Services as _;
use tunnel_tests::{
    raw::{RawAgent, hello, message},
    tunnel::Tunnel,
    wait::{eventually, within_limit},
};
use tunnel_transport::{
    AgentTokens, AllowedGroups, Gateway,
    wire::{error_message::Code, tunnel_message::Payload},
};

use super::port::Port;

/// What the generated code of a service is to an agent.
struct Invoices;

impl NamedService for Invoices {
    const NAME: &'static str = "billing.v1.Invoices";
}

#[tokio::test]
async fn a_service_is_registered_with_its_agent_and_goes_with_it() {
    within_limit(async {
        let mut tunnel = Tunnel::builder().start().await;
        let agents = tunnel.gateway.agents();
        assert_eq!(agents.group_of(Invoices::NAME), None);
        let agent = tunnel
            .agent("billing")
            .group("other")
            .grpc_service(&Invoices)
            .grpc_service_name("billing.v1.Payments")
            .grpc_service(&Invoices);
        tunnel.run_agent(agent, Router::new()).await;
        for service in [Invoices::NAME, "billing.v1.Payments"] {
            let group = agents.group_of(service).expect("it is registered");
            assert_eq!(group.as_str(), "billing");
        }
        let names = agents.list()[0].services.clone();
        assert_eq!(names, [Invoices::NAME.into(), "billing.v1.Payments".into()]);

        let second = tunnel.agent("late").grpc_service(&Invoices);
        tunnel.run_agent(second, Router::new()).await;
        assert_eq!(agents.group_of(Invoices::NAME).unwrap().as_str(), "billing");

        drop(tunnel);
        eventually(|| agents.group_of(Invoices::NAME).is_none()).await;
    })
    .await;
}

/// The gateway's answer to an agent that registers these services for the group `billing`.
async fn refusal(port: &Port, token: Option<&str>, services: Vec<String>) -> Code {
    let agent = RawAgent::dial(port.addr).await;
    let mut control = agent.control_stream(token).await.unwrap();
    let mut open = hello("agent", &["billing"]);
    open.services = services;
    control.send(message::control(Payload::StreamOpen(open))).await;
    let error = control.expect_error().await;
    assert!(port.gateway.agents().list().is_empty());
    error.code()
}

#[tokio::test]
async fn names_that_are_none_and_too_many_are_refused() {
    within_limit(async {
        let port = Port::open().await;
        for wrong in ["", "a/b", "/a.B", "a-b", "é", &"x".repeat(254)] {
            assert_eq!(
                refusal(&port, None, vec![wrong.to_owned()]).await,
                Code::Invalid,
                "{wrong:?}"
            );
        }
        assert_eq!(
            refusal(&port, None, vec!["a.B".to_owned(); 1_001]).await,
            Code::Invalid
        );
    })
    .await;
}

#[tokio::test]
async fn a_service_needs_the_permission_of_its_group() {
    within_limit(async {
        let token = "0123456789abcdef";
        let only = AllowedGroups::Only(["demo".parse().unwrap()].into());
        let tokens = AgentTokens::new().token("demo", token, only).unwrap();
        let port = Port::with(Gateway::builder().agent_auth(tokens).build()).await;
        let services = vec![Invoices::NAME.to_owned()];
        let code = refusal(&port, Some(token), services).await;
        assert_eq!(code, Code::GroupNotAllowed);
        assert_eq!(port.gateway.agents().group_of(Invoices::NAME), None);
    })
    .await;
}
