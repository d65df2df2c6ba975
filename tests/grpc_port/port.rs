//! A gateway with its agents' port, and a prober.

use std::net::SocketAddr;

use tokio::{sync::oneshot, task::JoinHandle};
use tonic::{Code, Streaming, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};
use tunnel_core::{Session, SessionId};
use tunnel_tests::tunnel::{address, listener};
use tunnel_transport::Gateway;

/// A gateway that listens for agents until it is told to stop.
pub(crate) struct Port {
    pub(crate) gateway: Gateway,
    pub(crate) addr: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Port {
    pub(crate) async fn open() -> Self {
        Self::with(Gateway::builder().open_to_any_agent().build()).await
    }

    pub(crate) async fn with(gateway: Gateway) -> Self {
        let listener = listener().await;
        let (addr, (stop, stopped)) = (address(&listener), oneshot::channel());
        let serve = gateway.serve_agents(listener).with_graceful_shutdown(async {
            // A test that fails drops its end.
            let _ = stopped.await;
        });
        let server = tokio::spawn(serve.into_future());
        Self {
            gateway,
            addr,
            stop,
            server,
        }
    }

    /// Tells the gateway to stop, and gives what ends when it has.
    pub(crate) fn stop(self) -> JoinHandle<()> {
        self.stop.send(()).expect("the gateway runs");
        self.server
    }

    pub(crate) async fn prober(&self) -> Prober {
        Prober::dial(self.addr).await
    }

    /// The gateway's side of a session.
    pub(crate) fn session(&self, id: SessionId) -> Session {
        let agents = self.gateway.agents().list();
        let found = agents.into_iter().find(|agent| agent.session.id() == id);
        found.expect("the session is registered").session
    }
}

/// A channel to this address.
pub(crate) async fn channel(addr: SocketAddr) -> Channel {
    let endpoint = Channel::from_shared(format!("http://{addr}")).expect("an address is a URI");
    endpoint.connect().await.expect("somebody listens")
}

/// A client of the health service.
pub(crate) struct Prober(HealthClient<Channel>);

impl Prober {
    pub(crate) async fn dial(addr: SocketAddr) -> Self {
        Self(HealthClient::new(channel(addr).await))
    }

    pub(crate) async fn check(&mut self, service: &str) -> Result<ServingStatus, Code> {
        let service = service.to_owned();
        let answer = self.0.check(HealthCheckRequest { service }).await;
        answer
            .map(|answer| answer.into_inner().status())
            .map_err(|status| status.code())
    }

    pub(crate) async fn watch(&mut self, service: &str) -> Watch {
        let service = service.to_owned();
        let answer = self.0.watch(HealthCheckRequest { service }).await;
        Watch(answer.expect("a watch begins").into_inner())
    }
}

/// The answers to a watch.
pub(crate) struct Watch(Streaming<HealthCheckResponse>);

impl Watch {
    pub(crate) async fn next(&mut self) -> Result<ServingStatus, Code> {
        let answer = self.0.message().await.map_err(|status| status.code())?;
        Ok(answer.expect("a watch does not end by itself").status())
    }
}
