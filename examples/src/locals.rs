//! The ports beside an agent, which come and go with its file.

use std::{
    collections::HashMap,
    fmt,
    future::pending,
    io,
    net::{SocketAddr, TcpListener as StdListener},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot, watch},
};
use tower::ServiceBuilder;
use tracing::{error, info};
use tunnel_core::PeerInfo;
use tunnel_layers::{
    observe::ObserveLayer,
    target::ClientExt as _,
    trace::{HopLayer, Tracer},
    trace_id::TraceIdLayer,
};
use tunnel_transport::{Agent, net::Listener};

use crate::{Shutdown, config::Local, program};

/// The ports that are open. What comes there goes to the agent's gateways.
pub struct Locals {
    agent: Agent,
    observe: ObserveLayer,
    tracer: Option<Tracer>,
    shutdown: Shutdown,
    open: Mutex<HashMap<String, Open>>,
    /// A sender is in every task that serves a port.
    running: mpsc::WeakSender<()>,
}

/// What tells that every port is closed.
#[derive(Debug)]
pub struct Closed {
    running: mpsc::Sender<()>,
    ended: mpsc::Receiver<()>,
}

/// A port.
struct Open {
    local: Local,
    address: SocketAddr,
    socket: Slot,
    /// True once others go on with the socket, and this one accepts no more.
    retired: watch::Sender<bool>,
    /// Dropped to have the port close, and its connections drain.
    quit: oneshot::Sender<()>,
    /// The same of what had the address before, whose connections may go on until there is another change.
    before: Option<oneshot::Sender<()>>,
}

/// The socket that is served, for others to go on with it; nothing once it is not.
#[derive(Clone)]
struct Slot(Arc<Mutex<Option<StdListener>>>);

/// A port that is served.
struct Port {
    /// None once it is retired.
    inner: Option<TcpListener>,
    slot: Slot,
    retired: watch::Receiver<bool>,
}

impl Locals {
    /// Opens the ports, until `shutdown` is asked for.
    ///
    /// # Errors
    ///
    /// As [`program::listen`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn open(
        agent: &Agent,
        locals: &[Local],
        observe: ObserveLayer,
        tracer: Option<Tracer>,
        shutdown: Shutdown,
    ) -> io::Result<(Self, Closed)> {
        let (running, ended) = mpsc::channel(1);
        let this = Self {
            agent: agent.clone(),
            observe,
            tracer,
            shutdown,
            open: Mutex::default(),
            running: running.downgrade(),
        };
        for local in locals {
            let socket = program::listen(local.listen)?.into_std()?;
            let open = this.serve(local, socket)?;
            this.ports().insert(local.name.clone(), open);
        }
        Ok((this, Closed { running, ended }))
    }

    /// The addresses, in the order of `locals`.
    #[must_use]
    pub fn addresses(&self, locals: &[Local]) -> Vec<SocketAddr> {
        let ports = self.ports();
        let address = |local: &Local| ports.get(&local.name).map(|open| open.address);
        locals.iter().filter_map(address).collect()
    }

    /// Makes the ports those of a file that has changed. One of which it says nothing else stays as it is. One that is at the address where
    /// it was goes on with the same socket, so that nobody is refused, and connections that were there go on as they began, until the
    /// port changes once more. One that is gone closes, and its connections drain. A port that cannot be opened is told in the log.
    pub fn update(&self, locals: &[Local]) {
        let mut ports = self.ports();
        ports.retain(|name, open| {
            let stays = locals.iter().any(|local| local.name == *name);
            if !stays {
                info!(listener = %name, address = %open.address, "a port is closed");
            }
            stays
        });
        for local in locals {
            if ports.get(&local.name).is_some_and(|old| old.local.agrees(local)) {
                continue;
            }
            match self.replace(&mut ports, local) {
                Ok(address) => info!(listener = %local.name, %address, "a port is open"),
                Err(error) => error!(listener = %local.name, %error, "a port is not opened"),
            }
        }
    }

    fn replace(&self, ports: &mut HashMap<String, Open>, local: &Local) -> io::Result<SocketAddr> {
        let old = ports.get(&local.name);
        let shared = old
            .filter(|old| old.local.listen == local.listen)
            .and_then(|old| old.socket.share());
        let is_shared = shared.is_some();
        let socket = match shared {
            Some(socket) => socket,
            None => program::listen(local.listen)?.into_std()?,
        };
        let new = self.serve(local, socket)?;
        let address = new.address;
        if let Some(old) = ports.insert(local.name.clone(), new)
            && is_shared
            && let Some(new) = ports.get_mut(&local.name)
        {
            old.retired.send_replace(true);
            new.before = Some(old.quit);
        }
        Ok(address)
    }

    fn serve(&self, local: &Local, socket: StdListener) -> io::Result<Open> {
        let Some(running) = self.running.upgrade() else {
            return Err(io::Error::other("the agent is stopping"));
        };
        let address = socket.local_addr()?;
        let inner = TcpListener::from_std(socket.try_clone()?)?;
        let slot = Slot(Arc::new(Mutex::new(Some(socket))));
        let (retired, retires) = watch::channel(false);
        let port = Port {
            inner: Some(inner),
            slot: slot.clone(),
            retired: retires,
        };
        let stack = ServiceBuilder::new()
            .layer(self.observe.clone())
            .layer(TraceIdLayer::new().tracer(self.tracer.clone()))
            .layer(local.deadline)
            .layer(HopLayer::tunnel())
            .service(self.agent.client());
        let (quit, quits) = oneshot::channel::<()>();
        let asked = self.shutdown.clone().asked();
        let serve = local.entry.clone().serve(port, stack);
        let serve = serve.with_graceful_shutdown(async {
            tokio::select! {
                () = asked => {}
                // Nothing is sent: the port is not wanted any more.
                _ = quits => {}
            }
        });
        tokio::spawn(async move {
            serve.await;
            drop(running);
        });
        Ok(Open {
            local: local.clone(),
            address,
            socket: slot,
            retired,
            quit,
            before: None,
        })
    }

    fn ports(&self) -> std::sync::MutexGuard<'_, HashMap<String, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Closed {
    /// Waits until every port is closed, and what came there has been answered, or cut; no port is opened any more.
    pub async fn wait(self) {
        let Self { running, mut ended } = self;
        drop(running);
        while ended.recv().await.is_some() {}
    }
}

impl Slot {
    fn share(&self) -> Option<StdListener> {
        let socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        socket.as_ref()?.try_clone().ok()
    }

    fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Listener for Port {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, PeerInfo)> {
        if let Some(inner) = &mut self.inner {
            tokio::select! {
                // What is not accepted here waits for the others.
                Ok(_) = self.retired.wait_for(|retired| *retired) => self.slot.close(),
                accepted = Listener::accept(inner) => return accepted,
            }
        }
        self.inner = None;
        pending().await
    }
}

/// Nobody accepts any more, and so nobody should be let in by the system.
impl Drop for Port {
    fn drop(&mut self) {
        self.slot.close();
    }
}

impl fmt::Debug for Locals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locals")
            .field("agent", &self.agent)
            .finish_non_exhaustive()
    }
}
