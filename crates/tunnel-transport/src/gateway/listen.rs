//! The ports of a gateway.

use std::{
    fmt,
    future::{Future, IntoFuture, poll_fn},
    pin::Pin,
    time::Duration,
};

use tokio::time::timeout;
use tracing::{info, warn};

use super::{Gateway, leave::say_goodbye, registry::Life, routes::AgentsPort};
use crate::{
    entry::{self, Entry},
    net::Listener,
};

/// How long exchanges may go on when the gateway stops.
const DEFAULT_DRAIN: Duration = Duration::from_secs(30);
/// How long agents that were told to go may take to hang up.
const GOODBYE: Duration = Duration::from_secs(2);

type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Gateway {
    /// Serves the port that agents dial, with the windows that the tunnel needs. Await it to run.
    ///
    /// Beside the [`tunnel_service`](Self::tunnel_service) it has health and reflection, as
    /// [`health_routes`](Self::health_routes) says.
    pub fn serve_agents<L: Listener>(&self, listener: L) -> ServeAgents<L> {
        ServeAgents {
            gateway: self.clone(),
            listener,
            entry: Entry::for_agents(),
            drain: DEFAULT_DRAIN,
            signal: None,
        }
    }

    /// Serves outside traffic with `app`: an axum `Router`, or a stack of layers. Await it to run.
    ///
    /// `axum::serve` serves an app as well, but has no timeouts, and cannot set the windows; see [`Entry`] for the settings.
    pub fn serve<L: Listener, S>(&self, listener: L, app: S) -> entry::Serve<L, S> {
        Entry::new().serve(listener, app)
    }

    /// Takes no new agents, lets exchanges finish until `deadline`, then ends every session.
    async fn drain_sessions(&self, deadline: Duration) {
        self.leave(deadline);
        self.0.registry.set_life(Life::Stopping);
        let agents = self.0.registry.all();
        info!(agents = agents.len(), "draining");
        for agent in &agents {
            agent.session.drain();
        }
        let idle = async {
            for agent in &agents {
                poll_fn(|cx| agent.session.poll_idle(cx)).await;
            }
        };
        if timeout(deadline, idle).await.is_err() {
            warn!("the drain timeout passed; what is open is cut off");
        }
        // Those that came while the others were drained as well.
        for agent in self.0.registry.all() {
            say_goodbye(&agent, "the gateway is stopping");
        }
        self.0.registry.set_life(Life::Stopped);
    }
}

/// The port that agents dial. Nothing happens until it is awaited; dropping it cuts every session.
#[must_use = "a port is served only while this is awaited"]
pub struct ServeAgents<L> {
    gateway: Gateway,
    listener: L,
    entry: Entry,
    drain: Duration,
    signal: Option<BoxFuture>,
}

impl<L> ServeAgents<L> {
    /// Agents come by TLS, and HTTP/2 is offered by ALPN; by default none do.
    ///
    /// Where agents show certificates, [`AgentCredentials::tls`](super::AgentCredentials::tls) has their names.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: crate::tls::ServerTls) -> Self {
        self.entry = self.entry.tls(tls);
        self
    }

    /// How long a TLS handshake may take; 10 s by default.
    #[cfg(feature = "tls")]
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.entry = self.entry.handshake_timeout(timeout);
        self
    }

    /// Changes the limits of the port: its timeouts and pings, and how many connections it takes, in all and of one address. They
    /// begin with the defaults of an [`Entry`]; the windows are those of the tunnel, and should stay so. Of the drain, that of
    /// [`drain`](Self::drain) holds.
    pub fn limits(mut self, change: impl FnOnce(Entry) -> Entry) -> Self {
        self.entry = change(self.entry);
        self
    }

    /// How long exchanges may go on once it stops; 30 s by default.
    pub fn drain(mut self, deadline: Duration) -> Self {
        self.drain = deadline;
        self
    }

    /// Stops when `signal` is ready: [leaves](Gateway::leave) if it has not yet, lets exchanges finish until the drain's deadline, tells the
    /// agents to go, and ends.
    pub fn with_graceful_shutdown(mut self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        self.signal = Some(Box::pin(signal));
        self
    }
}

impl<L: Listener> IntoFuture for ServeAgents<L> {
    type Output = ();
    type IntoFuture = entry::ServeFuture;

    fn into_future(self) -> entry::ServeFuture {
        let Self {
            gateway,
            listener,
            entry,
            drain,
            signal,
        } = self;
        let heartbeat = gateway.0.heartbeat;
        let entry = entry.silence_is_seen_in(heartbeat.timeout.saturating_add(heartbeat.interval));
        let serve = entry.drain(GOODBYE).serve(listener, AgentsPort::new(&gateway));
        match signal {
            None => serve.into_future(),
            Some(signal) => serve
                .with_graceful_shutdown(async move {
                    signal.await;
                    gateway.drain_sessions(drain).await;
                })
                .into_future(),
        }
    }
}

impl<L> fmt::Debug for ServeAgents<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeAgents")
            .field("gateway", &self.gateway)
            .finish_non_exhaustive()
    }
}
