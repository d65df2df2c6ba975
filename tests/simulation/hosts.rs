//! The software of the hosts.

use std::{
    future::IntoFuture as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tunnel_layers::route::Rule;
use tunnel_tests::tunnel::{group, stack};
use tunnel_transport::{
    Agent, Backoff, Gateway, Heartbeat, Upstream,
    entry::Entry,
    upstream::{UpstreamBuilder, UpstreamProtocol},
};

use crate::{
    app::app,
    ledger::Ledger,
    net::{Listener, dialer},
    plan::Place,
    run::WHOLE,
};

/// Short times, so that a simulation is.
const SECOND: Duration = Duration::from_secs(1);

const HEARTBEAT: Heartbeat = Heartbeat {
    interval: Duration::from_millis(500),
    timeout: Duration::from_millis(1_500),
};

/// What runs now, so that its tables can be looked at from outside. What crashed is not there any more.
#[derive(Clone, Default)]
pub(crate) struct Site(Arc<Mutex<Running>>);

#[derive(Default)]
struct Running {
    gateway: Option<Gateway>,
    agents: Vec<Option<Agent>>,
}

impl Site {
    pub(crate) fn new(agents: usize) -> Self {
        let running = Running {
            gateway: None,
            agents: vec![None; agents],
        };
        Self(Arc::new(Mutex::new(running)))
    }

    pub(crate) fn gateway(&self) -> Option<Gateway> {
        self.with(|running| running.gateway.clone())
    }

    pub(crate) fn agents(&self) -> Vec<Agent> {
        self.with(|running| running.agents.iter().flatten().cloned().collect())
    }

    fn with<T>(&self, look: impl FnOnce(&mut Running) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The gateway: agents dial port 7000, clients port 80.
pub(crate) async fn gateway(site: Site, agents: usize) -> turmoil::Result {
    let gateway = Gateway::builder()
        .open_to_any_agent()
        .heartbeat(HEARTBEAT)
        .build();
    site.with(|running| running.gateway = Some(gateway.clone()));
    let rule = |id: &str, name: &str| Rule::group(id, group(name)).timeout(WHOLE);
    let only = (0..agents).map(|index| {
        let name = format!("agent-{index}");
        rule(&name, &name).path_prefix(format!("/{name}"))
    });
    let rules = only.chain([rule("all", "app")]).collect();
    let (outside, inside) = (Listener::bind(80).await?, Listener::bind(7_000).await?);
    // The simulated TCP has no probes and no retransmissions, which would end connections that are dead: the pings have to.
    let entry = Entry::new()
        .ping(2 * SECOND, 2 * SECOND)
        .send_timeout(Some(5 * SECOND))
        .serve(outside, stack(&gateway, rules));
    tokio::join!(entry.into_future(), gateway.serve_agents(inside).into_future());
    Ok(())
}

/// An agent, which is in a group with all others and in one of its own.
pub(crate) async fn agent(site: Site, index: usize, place: Place, ledger: Ledger) -> turmoil::Result {
    let name = format!("agent-{index}");
    let agent = Agent::builder("http://gateway:7000")
        .id(&name)
        .group("app")
        .group(&name)
        .resolver(|host, port| async move { Ok(vec![(turmoil::lookup(host), port).into()]) })
        .dialer(dialer())
        .lanes(1 + index as u32 % 2)
        .connect_timeout(2 * SECOND)
        .backoff(Backoff {
            first: SECOND / 10,
            cap: SECOND,
        })
        .build()?;
    site.with(|running| running.agents[index] = Some(agent.clone()));
    match place {
        Place::Agent => agent.serve(app(ledger)).await?,
        Place::Http1 => agent.serve(upstream(place).build()?).await?,
        Place::Http2 => {
            let upstream = upstream(place).ping(Some((SECOND, SECOND)));
            agent
                .serve(upstream.protocol(UpstreamProtocol::H2c).build()?)
                .await?;
        }
    }
    Ok(())
}

fn upstream(place: Place) -> UpstreamBuilder {
    let host = place.host().unwrap_or_default();
    Upstream::builder(format!("http://{host}"))
        .dialer(dialer())
        .dial_timeout(2 * SECOND)
        .idle_timeout(3 * SECOND)
}
