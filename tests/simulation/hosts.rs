//! The software of the hosts.

use std::{
    collections::HashMap,
    future::{IntoFuture as _, pending},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;
use tunnel_core::{Agents as _, GroupName};
use tunnel_layers::route::Rule;
use tunnel_tests::tunnel::{group, stack};
use tunnel_transport::{
    Agent, Backoff, Gateway, Heartbeat, PushedConfig, Upstream,
    entry::Entry,
    upstream::{UpstreamBuilder, UpstreamProtocol},
};

use crate::{
    app::app,
    client::{Client, now},
    ledger::Ledger,
    net::{Listener, dialer},
    plan::{self, Place},
    run::WHOLE,
};

/// Short times, so that a simulation is.
const SECOND: Duration = Duration::from_secs(1);

const HEARTBEAT: Heartbeat = Heartbeat {
    interval: Duration::from_millis(500),
    timeout: Duration::from_millis(1_500),
};

/// How long exchanges may go on at a host that leaves.
const DRAIN: Duration = Duration::from_millis(2_800);

/// The group of all agents.
const ALL: &str = "app";

/// What runs now, so that its tables can be looked at from outside. What crashed is not there any more.
#[derive(Clone)]
pub(crate) struct Site(Arc<Mutex<Running>>);

struct Running {
    gateways: Vec<Option<Gateway>>,
    agents: Vec<Option<Agent>>,
    /// What asks a host to leave.
    stops: HashMap<String, CancellationToken>,
    /// The number of the newest configuration for agents; 0 before the first.
    change: u64,
    /// That of the one which an agent runs.
    applied: Vec<u64>,
}

impl Site {
    pub(crate) fn new(gateways: usize, agents: usize) -> Self {
        Self(Arc::new(Mutex::new(Running {
            gateways: vec![None; gateways],
            agents: vec![None; agents],
            stops: HashMap::new(),
            change: 0,
            applied: vec![0; agents],
        })))
    }

    /// Those that are there, with their numbers.
    pub(crate) fn gateways(&self) -> Vec<(usize, Gateway)> {
        self.with(|running| {
            let there = running.gateways.iter().cloned().enumerate();
            there
                .filter_map(|(index, gateway)| Some((index, gateway?)))
                .collect()
        })
    }

    /// Whether a balancer would send requests to this gateway.
    pub(crate) fn is_ready(&self, gateway: usize) -> bool {
        let gateway = self.with(|running| running.gateways[gateway].clone());
        gateway.is_some_and(|gateway| {
            let agents = gateway.agents().members(&group(ALL));
            gateway.is_ready() && agents.iter().any(|member| member.session.is_available())
        })
    }

    pub(crate) fn agents(&self) -> Vec<Agent> {
        self.with(|running| running.agents.iter().flatten().cloned().collect())
    }

    /// Asks a host to leave.
    pub(crate) fn stop(&self, host: &str) {
        self.with(|running| {
            if let Some(stop) = running.stops.get(host) {
                stop.cancel();
            }
        });
    }

    /// The gateways have another configuration for all agents.
    pub(crate) fn change(&self) {
        self.with(|running| running.change += 1);
        for (_, gateway) in self.gateways() {
            self.push(&gateway);
        }
    }

    fn push(&self, gateway: &Gateway) {
        // Versions begin with the clock, and that of the simulation is another one.
        std::thread::sleep(Duration::from_millis(1));
        let change = self.newest();
        if change > 0 {
            let text = format!("change: {change}\n");
            let configs: [(GroupName, String); 1] = [(group(ALL), text)];
            gateway.agent_configs().replace(configs).expect("it is small");
        }
    }

    /// The number of the newest configuration.
    pub(crate) fn newest(&self) -> u64 {
        self.with(|running| running.change)
    }

    /// The agents that do not run the newest configuration.
    pub(crate) fn behind(&self) -> Vec<(usize, u64)> {
        self.with(|running| {
            let all = running.applied.iter().copied().enumerate();
            all.filter(|(_, applied)| *applied != running.change).collect()
        })
    }

    /// What asks this host to leave, from now on.
    fn begin(&self, host: &str) -> CancellationToken {
        let stop = CancellationToken::new();
        self.with(|running| running.stops.insert(host.to_owned(), stop.clone()));
        stop
    }

    fn with<T>(&self, look: impl FnOnce(&mut Running) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A gateway: agents dial port 7000, clients port 80.
pub(crate) async fn gateway(site: Site, index: usize, agents: usize) -> turmoil::Result {
    let gateway = Gateway::builder()
        .open_to_any_agent()
        .heartbeat(HEARTBEAT)
        .build();
    site.push(&gateway);
    site.with(|running| running.gateways[index] = Some(gateway.clone()));
    let asked = site.begin(&format!("gateway-{index}"));
    let rule = |id: &str, name: &str| Rule::group(id, group(name)).timeout(WHOLE);
    let only = (0..agents).map(|index| {
        let name = format!("agent-{index}");
        rule(&name, &name).path_prefix(format!("/{name}"))
    });
    let rules = only.chain([rule("all", ALL)]).collect();
    gateway.serve_calls(stack(&gateway, vec![rule("calls", ALL)]));
    let (outside, inside) = (Listener::bind(80).await?, Listener::bind(7_000).await?);
    // The simulated TCP has no probes and no retransmissions, which would end connections that are dead: the pings have to.
    let entry = Entry::new()
        .ping(2 * SECOND, 2 * SECOND)
        .send_timeout(Some(5 * SECOND))
        .lame_duck(SECOND / 2)
        .drain(DRAIN)
        .serve(outside, stack(&gateway, rules))
        .with_graceful_shutdown(asked.clone().cancelled_owned());
    let (served, all_served) = oneshot::channel::<()>();
    let serve_outside = async {
        entry.await;
        drop(served);
    };
    let serve_agents = gateway
        .serve_agents(inside)
        .drain(DRAIN)
        .with_graceful_shutdown(async {
            let _ = all_served.await;
        });
    let leave = async {
        asked.cancelled().await;
        gateway.leave(2 * DRAIN);
    };
    tokio::join!(serve_outside, serve_agents.into_future(), leave);
    site.with(|running| running.gateways[index] = None);
    // What is on its way out is still sent; then the host begins again.
    pending().await
}

/// An agent of all gateways, which is in a group with all others and in one of its own.
pub(crate) async fn agent(
    site: Site,
    index: usize,
    plan: plan::Agent,
    gateways: usize,
    ledger: Ledger,
) -> turmoil::Result {
    let name = format!("agent-{index}");
    let mut builder = Agent::builder("http://gateway-0:7000");
    for other in 1..gateways {
        builder = builder.gateway(format!("http://gateway-{other}:7000"));
    }
    let agent = builder
        .id(&name)
        .group(ALL)
        .group(&name)
        .resolver(|host, port| async move { Ok(vec![(turmoil::lookup(host), port).into()]) })
        .dialer(dialer())
        .lanes(1 + index as u32 % 2)
        .connect_timeout(2 * SECOND)
        .drain_timeout(DRAIN)
        .backoff(Backoff {
            first: SECOND / 10,
            cap: SECOND,
        })
        .on_config(taking(&site, index, &ledger))
        .build()?;
    let asked = site.begin(&name);
    site.with(|running| {
        running.agents[index] = Some(agent.clone());
        running.applied[index] = 0;
    });
    let calls = tokio::spawn(calls(agent.clone(), plan.requests, ledger.clone(), asked.clone()));
    let stop = async move {
        asked.cancelled().await;
        // What it asks itself comes first.
        let _ = calls.await;
    };
    match plan.place {
        Place::Agent => agent.serve(app(ledger)).with_graceful_shutdown(stop).await?,
        Place::Http1 => {
            let upstream = upstream(plan.place).build()?;
            agent.serve(upstream).with_graceful_shutdown(stop).await?;
        }
        Place::Http2 => {
            let upstream = upstream(plan.place).ping(Some((SECOND, SECOND)));
            let upstream = upstream.protocol(UpstreamProtocol::H2c).build()?;
            agent.serve(upstream).with_graceful_shutdown(stop).await?;
        }
    }
    pending().await
}

/// What the agent asks in the other direction, until it is asked to leave; what was sent is then waited for.
async fn calls(agent: Agent, requests: Vec<plan::Request>, ledger: Ledger, asked: CancellationToken) {
    tokio::select! {
        _ = agent.connected() => {}
        () = asked.cancelled() => return,
    }
    let mut calls = JoinSet::new();
    for request in requests {
        let client = Client::of_agent(&agent, ledger.clone());
        let (ledger, asked) = (ledger.clone(), asked.clone());
        calls.spawn(async move {
            tokio::select! {
                () = sleep(request.at.saturating_sub(now())) => {}
                () = asked.cancelled() => return,
            }
            if ledger.begins(request.id) {
                let outcome = client.exchange("", &request).await;
                ledger.ended(request.id, outcome);
            }
        });
    }
    while calls.join_next().await.is_some() {}
}

/// Notes what the agent takes of the configurations that it gets. Those of one process may never go back.
fn taking(
    site: &Site,
    index: usize,
    ledger: &Ledger,
) -> impl Fn(&PushedConfig) -> Result<(), tunnel_core::BoxError> + Send + Sync + use<> {
    let (site, ledger) = (site.clone(), ledger.clone());
    let last = Mutex::new((0, 0));
    move |config| {
        let text = String::from_utf8_lossy(&config.text);
        let number = text.trim_start_matches("---\n").strip_prefix("change: ");
        let change: u64 = number.ok_or("not what was pushed")?.trim_end().parse()?;
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if config.version <= last.0 || change < last.1 {
            ledger.violation(format!(
                "agent-{index} takes version {} with change {change} after {last:?}",
                config.version
            ));
        }
        *last = (config.version, change);
        site.with(|running| running.applied[index] = change);
        Ok(())
    }
}

fn upstream(place: Place) -> UpstreamBuilder {
    let host = place.host().unwrap_or_default();
    Upstream::builder(format!("http://{host}"))
        .dialer(dialer())
        .dial_timeout(2 * SECOND)
        .idle_timeout(3 * SECOND)
}
