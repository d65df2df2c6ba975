//! Gateways that SRV records name.

use std::{collections::BTreeSet, net::Ipv4Addr, time::Duration};

use axum::Router;
use tokio::task::JoinSet;
use tunnel_tests::{
    client::{Client, Version},
    dns::DnsServer,
    tunnel::{GROUP, Tunnel},
    wait::{eventually, within_limit},
};
use tunnel_transport::{Agent, AgentBuilder, Status};

const NAME: &str = "_tunnel._tcp.gateways.example";

fn agent(dns: &DnsServer) -> AgentBuilder {
    Agent::builder(format!("srv+http://{NAME}"))
        .group(GROUP)
        .dns(dns.dns())
        .lookup_interval(Duration::from_secs(60))
}

/// An agent that serves until the set is dropped.
fn run(tasks: &mut JoinSet<()>, agent: AgentBuilder) -> Agent {
    let agent = agent.build().expect("the settings are right");
    let serve = agent.serve(Router::new().fallback(async || "served"));
    tasks.spawn(async move { drop(serve.await) });
    agent
}

fn connected(agent: &Agent) -> usize {
    let gateways = agent.gateways();
    let connected = gateways
        .iter()
        .filter(|one| matches!(one.status, Status::Connected(_)));
    connected.count()
}

#[tokio::test]
async fn every_gateway_that_is_named_has_a_session_and_new_ones_get_theirs() {
    let dns = DnsServer::start().await;
    dns.host("g.gateways.example", &[Ipv4Addr::LOCALHOST]);
    let tunnels = [(); 3].map(|()| async { Tunnel::builder().start().await });
    let [one, two, three] = tunnels;
    let tunnels = [one.await, two.await, three.await];
    let record = |index: usize| {
        let port = tunnels[index].agents_addr.port();
        (
            u16::try_from(index).expect("a small number"),
            1,
            port,
            "g.gateways.example",
        )
    };
    dns.service(NAME, 1, &[record(0), record(1)]);
    let mut tasks = JoinSet::new();
    within_limit(async {
        let agent = run(&mut tasks, agent(&dns));
        eventually(|| connected(&agent) == 2).await;
        for tunnel in &tunnels[..2] {
            eventually(|| !tunnel.sessions(GROUP).is_empty()).await;
            let answer = Client::connect(Version::Http1, tunnel.addr).await.get("/").await;
            assert_eq!(answer.status(), 200);
        }
        // When their time is over, the records are asked for again, and a server that fails changes nothing.
        dns.fails(true);
        let asked = dns.asked();
        eventually(|| dns.asked() > asked).await;
        assert_eq!(connected(&agent), 2);
        dns.service(NAME, 1, &[record(0), record(1), record(2)]);
        dns.fails(false);
        eventually(|| connected(&agent) == 3).await;
        assert!(!tunnels[2].sessions(GROUP).is_empty());
    })
    .await;
}

#[tokio::test]
async fn low_priorities_are_the_first_of_more_than_eight() {
    let dns = DnsServer::start().await;
    dns.host("g.gateways.example", &[Ipv4Addr::new(127, 0, 0, 1)]);
    // Nobody is there; which are tried is the question.
    let low: Vec<u16> = (1..=6).collect();
    let high: Vec<u16> = (11..=20).collect();
    let records = |priority: u16, ports: &[u16]| {
        let records = ports
            .iter()
            .map(|port| (priority, 1, *port, "g.gateways.example"));
        records.collect::<Vec<_>>()
    };
    dns.service(NAME, 60, &[records(9, &high), records(3, &low)].concat());
    let mut tasks = JoinSet::new();
    within_limit(async {
        let agent = run(&mut tasks, agent(&dns));
        eventually(|| agent.gateways().len() == 8).await;
        let ports: BTreeSet<_> = agent.gateways().iter().map(|one| one.address.port()).collect();
        assert!(low.iter().all(|port| ports.contains(port)), "{ports:?}");
    })
    .await;
}
