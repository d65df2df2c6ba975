//! Agents of several gateways.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use tunnel_tests::{
    raw::{
        RawGateway, RawGatewaySession, consent,
        message::{self},
    },
    tunnel::closed_port,
    wait::{closed, eventually, within_limit},
};
use tunnel_transport::{
    Agent, AgentBuilder, Backoff, Gateway, GatewayStatus, Status,
    net::{DEFAULT_BACKLOG, bind},
    wire::{StreamOpenResponse, error_message::Code},
};

use super::actor::{Actor, builder, echo, round_trip};

/// What a scripted gateway says of itself.
fn called(name: &str) -> StreamOpenResponse {
    StreamOpenResponse {
        gateway_id: name.to_owned(),
        ..consent()
    }
}

async fn session(gateway: &RawGateway, name: &str) -> RawGatewaySession {
    gateway.accept_session_with(called(name)).await
}

fn connected(agent: &Agent) -> usize {
    let is_connected = |gateway: &GatewayStatus| matches!(gateway.status, Status::Connected(_));
    agent
        .gateways()
        .iter()
        .filter(|gateway| is_connected(gateway))
        .count()
}

/// A name whose addresses a test decides.
#[derive(Clone, Default)]
struct Name(Arc<Mutex<Vec<SocketAddr>>>);

impl Name {
    fn leads_to(&self, addresses: &[SocketAddr]) {
        *self.0.lock().unwrap() = addresses.to_vec();
    }

    fn agent(&self) -> AgentBuilder {
        let name = self.clone();
        Agent::builder("http://gateways.example:7000")
            .group("demo")
            .resolver(move |host, port| {
                assert_eq!((&*host, port), ("gateways.example", 7000));
                let found = name.0.lock().unwrap().clone();
                async move {
                    if found.is_empty() {
                        return Err(io::Error::other("no such name"));
                    }
                    Ok(found)
                }
            })
            .lookup_interval(Duration::from_millis(100))
            .backoff(Backoff {
                first: Duration::from_millis(1),
                cap: Duration::from_millis(10),
            })
    }
}

#[tokio::test]
async fn an_agent_serves_every_gateway_and_misses_none_that_goes() {
    within_limit(async {
        let (first, second) = (RawGateway::bind(), RawGateway::bind());
        let actor = Actor::of(builder(&first).gateway(second.url()), echo());
        assert!(!actor.agent.is_ready());
        let mut one = session(&first, "one").await;
        let mut two = session(&second, "two").await;
        assert_eq!(one.hello.instance_id, two.hello.instance_id);
        eventually(|| connected(&actor.agent) == 2).await;
        round_trip(&mut one.lane).await;
        round_trip(&mut two.lane).await;

        let before = actor.agent.connected().await;
        drop((first, one.connection));
        closed(&before).await;
        // The other one has noticed nothing, and the agent is what it was.
        assert_ne!(actor.agent.connected().await, before);
        assert!(actor.agent.is_ready());
        assert_eq!(actor.agent.sessions().len(), 1);
        round_trip(&mut two.lane).await;
        let of_all = actor.agent.gateways();
        assert_eq!(of_all.len(), 2);
        assert_eq!(of_all[1].gateway_id, "two");
        actor.finish().await;
    })
    .await;
}

#[tokio::test]
async fn every_address_of_a_name_has_a_session_and_one_that_is_new_gets_one() {
    within_limit(async {
        let gateways = [(); 3].map(|()| RawGateway::bind());
        let addresses = gateways.each_ref().map(RawGateway::addr);
        let name = Name::default();
        let actor = Actor::of(name.agent(), echo());
        actor
            .status(|status| matches!(status, Status::Waiting { .. }))
            .await;
        name.leads_to(&addresses[..2]);
        let _one = session(&gateways[0], "one").await;
        let two = session(&gateways[1], "two").await;
        name.leads_to(&addresses[1..]);
        let mut three = session(&gateways[2], "three").await;
        eventually(|| connected(&actor.agent) == 3).await;
        round_trip(&mut three.lane).await;
        // Where the name does not lead any more, what was lost is not dialled again.
        let first = actor.agent.sessions().remove(0);
        drop(_one);
        closed(&first).await;
        eventually(|| actor.agent.gateways().len() == 2).await;
        // A name that nobody knows any more changes nothing.
        name.leads_to(&[]);
        drop(two);
        let mut two = session(&gateways[1], "two").await;
        round_trip(&mut two.lane).await;
        actor.finish().await;
    })
    .await;
}

#[tokio::test]
async fn eight_gateways_are_the_most() {
    within_limit(async {
        let gateways = [(); 9].map(|()| RawGateway::bind());
        let name = Name::default();
        name.leads_to(&gateways.each_ref().map(RawGateway::addr));
        let actor = Actor::of(name.agent(), echo());
        let mut sessions = Vec::new();
        for (number, gateway) in gateways[..8].iter().enumerate() {
            sessions.push(session(gateway, &number.to_string()).await);
        }
        eventually(|| connected(&actor.agent) == 8).await;
        assert_eq!(actor.agent.gateways().len(), 8);
        name.leads_to(&[gateways[8].addr()]);
        drop(sessions.pop());
        let _ninth = session(&gateways[8], "8").await;
        eventually(|| connected(&actor.agent) == 8).await;
        actor.finish().await;
    })
    .await;
}

#[tokio::test]
async fn two_addresses_of_one_gateway_have_one_session() {
    within_limit(async {
        let (first, second) = (RawGateway::bind(), RawGateway::bind());
        let actor = Actor::of(builder(&first).gateway(second.url()), echo());
        let one = session(&first, "same").await;
        eventually(|| connected(&actor.agent) == 1).await;
        // The second address leads to the same process, which a gateway of ours would have said itself.
        let mut other = second.accept().await;
        let (control, _) = other.hear_control().await;
        control
            .send(message::control(
                tunnel_transport::wire::tunnel_message::Payload::StreamOpenResponse(called("same")),
            ))
            .await;
        other.ended().await;
        let is_waiting = |status: &GatewayStatus| match &status.status {
            Status::Waiting { delay, .. } => *delay >= Duration::from_secs(60),
            _ => false,
        };
        eventually(|| actor.agent.gateways().iter().any(is_waiting)).await;
        // When the session ends, the other address is tried at once.
        drop((first, one));
        let mut two = session(&second, "same").await;
        round_trip(&mut two.lane).await;
        actor.finish().await;
    })
    .await;
}

#[tokio::test]
async fn two_addresses_of_a_real_gateway_have_one_session() {
    within_limit(async {
        let gateway = Gateway::builder().open_to_any_agent().build();
        let any = bind((Ipv4Addr::UNSPECIFIED, 0).into(), DEFAULT_BACKLOG).expect("a port is free");
        let port = any.local_addr().expect("bound").port();
        let served = tokio::spawn(gateway.serve_agents(any).into_future());
        let agent = Agent::builder(format!("http://127.0.0.1:{port}"))
            .gateway(format!("http://127.0.0.2:{port}"))
            .group("demo")
            .build()
            .expect("the settings are good");
        let serving = tokio::spawn(agent.serve(echo()).into_future());
        let waits = |status: &GatewayStatus| matches!(status.status, Status::Waiting { .. });
        eventually(|| agent.gateways().iter().any(waits)).await;
        eventually(|| connected(&agent) == 1).await;
        assert_eq!(gateway.agents().list().len(), 1);
        serving.abort();
        served.abort();
    })
    .await;
}

#[tokio::test]
async fn a_session_is_made_before_the_one_with_a_gateway_that_leaves_is_gone() {
    within_limit(async {
        // One address, behind which there are several gateways.
        let gateway = RawGateway::bind();
        let actor = Actor::at(&gateway, echo());
        let mut old = session(&gateway, "old").await;
        let before = actor.agent.connected().await;
        old.control.send(message::drain()).await;
        // Balancers may still lead to the one that leaves.
        let mut refusing = gateway.accept().await;
        let (control, _) = refusing.hear_control().await;
        control.send(message::error(Code::Draining, "leaving", 10)).await;
        let mut new = session(&gateway, "new").await;
        round_trip(&mut new.lane).await;
        eventually(|| actor.agent.sessions().first() != Some(&before)).await;
        // What still comes by the old one is served.
        round_trip(&mut old.lane).await;
        assert!(before.closed().is_none() && actor.agent.is_ready());
        drop(old);
        closed(&before).await;
        round_trip(&mut new.lane).await;
        assert_eq!(connected(&actor.agent), 1);
        actor.finish().await;
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_one_gateway_refuses_serves_the_others_and_ends_when_there_are_none() {
    within_limit(async {
        let (first, second) = (RawGateway::bind(), RawGateway::bind());
        let refuse = async |gateway: &RawGateway| {
            let mut connection = gateway.accept().await;
            let (control, _) = connection.hear_control().await;
            control
                .send(message::error(Code::Unauthenticated, "who are you", 0))
                .await;
            connection.ended().await;
        };
        let actor = Actor::of(builder(&first).gateway(second.url()), echo());
        refuse(&first).await;
        let mut two = session(&second, "two").await;
        round_trip(&mut two.lane).await;
        actor.finish().await;

        // Nobody listens at the third.
        let (_port, nobody) = closed_port();
        let url = format!("http://{nobody}");
        let actor = Actor::of(builder(&first).gateway(second.url()).gateway(url), echo());
        refuse(&first).await;
        refuse(&second).await;
        let error = actor
            .serving
            .await
            .expect("it does not panic")
            .expect_err("it is refused");
        assert!(
            error.is_refused() && error.to_string().contains("who are you"),
            "{error}"
        );
    })
    .await;
}
