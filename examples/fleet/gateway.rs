//! A gateway that runs, and stops without losing anything.

use std::{net::Ipv4Addr, net::SocketAddr, time::Duration};

use tokio::{sync::oneshot, task::JoinHandle};
use tower::ServiceBuilder;
use tunnel_core::{BoxError, RetryPolicy};
use tunnel_examples::program::listen;
use tunnel_layers::{
    balance::{BalanceLayer, RoundRobin},
    chunk::ChunkLayer,
    correlate::CorrelateLayer,
    deadline::DeadlineLayer,
    rescue::RescueLayer,
    route::{RouteLayer, Rule, Rules},
    trace_id::TraceIdLayer,
    upgrade::UpgradeLayer,
};
use tunnel_transport::{Gateway, entry::Entry};

/// How long a gateway that leaves serves as before: balancers elsewhere need seconds to see that it is not ready.
const LAME_DUCK: Duration = Duration::from_millis(200);

/// How long exchanges may take to finish then.
const DRAIN: Duration = Duration::from_secs(5);

/// A gateway, and its two ports.
pub(crate) struct Running {
    pub(crate) gateway: Gateway,
    /// For clients.
    pub(crate) outside: SocketAddr,
    /// For agents.
    pub(crate) agents: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start() -> Result<Self, BoxError> {
        let local = || listen((Ipv4Addr::LOCALHOST, 0).into());
        let (outside, agents) = (local()?, local()?);
        let gateway = Gateway::builder().open_to_any_agent().build();
        // Requests that an agent had when it died are sent to another one, as far as they may be carried out twice.
        let rule = Rule::group("web", "web".parse()?).retry(RetryPolicy::new(2));
        let tunnel = ServiceBuilder::new()
            .layer(TraceIdLayer::new())
            .layer(RescueLayer::new())
            .layer(RouteLayer::new(Rules::compile([rule])?))
            .layer(DeadlineLayer::new())
            .layer(BalanceLayer::new(gateway.agents(), RoundRobin::new()))
            .layer(UpgradeLayer::new())
            .layer(ChunkLayer::new())
            .layer(CorrelateLayer::new())
            .service(gateway.transport());
        let (outside_addr, agents_addr) = (outside.local_addr()?, agents.local_addr()?);
        let (stop, stopped) = oneshot::channel::<()>();
        let (done, all_served) = oneshot::channel::<()>();

        // Agents are told first, and stay until the outside has been served.
        let leaving = gateway.clone();
        let entry = Entry::new().lame_duck(LAME_DUCK).drain(DRAIN);
        let serve = entry.serve(outside, tunnel).with_graceful_shutdown(async move {
            let _ = stopped.await;
            leaving.leave(LAME_DUCK + DRAIN);
        });
        let serve_agents = gateway
            .serve_agents(agents)
            .drain(DRAIN)
            .with_graceful_shutdown(async move {
                let _ = all_served.await;
            });
        let served = tokio::spawn(async move {
            let outside = async {
                serve.await;
                drop(done);
            };
            tokio::join!(outside, serve_agents.into_future());
        });
        Ok(Self {
            gateway,
            outside: outside_addr,
            agents: agents_addr,
            stop,
            served,
        })
    }

    /// Leaves as SIGTERM makes the operator's gateway leave, and waits until it has gone.
    pub(crate) async fn stop(self) -> Result<(), BoxError> {
        drop(self.stop);
        Ok(self.served.await?)
    }
}
