//! The way between an agent and its gateway, and what may befall it.

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{DuplexStream, duplex},
    sync::watch,
};
use tunnel_core::PeerInfo;

use super::{pipe::Port, wire::carry};
use crate::net::Dialer;

/// What lies between an agent and its gateway. Clones are the same link.
///
/// Everything that is said of it holds at once, for the connection that there is and for those that follow.
#[derive(Clone)]
pub struct Link(Arc<Inner>);

struct Inner {
    weather: watch::Sender<Weather>,
    dials: AtomicUsize,
    gateway: Port,
    buffer: usize,
}

/// How a link is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weather {
    pub(super) delay: Duration,
    pub(super) is_frozen: bool,
    pub(super) is_down: bool,
    /// How often it was cut.
    pub(super) cuts: usize,
}

impl Link {
    pub(super) fn new(gateway: Port, buffer: usize) -> Self {
        Self(Arc::new(Inner {
            weather: watch::Sender::new(Weather::default()),
            dials: AtomicUsize::new(0),
            gateway,
            buffer,
        }))
    }

    /// Breaks the connection that there is, as when a router forgets it. The agent dials again.
    pub fn cut(&self) {
        self.change(|weather| weather.cuts += 1);
    }

    /// Breaks the connection, and refuses others until it is [up](Self::up) again.
    pub fn down(&self) {
        self.change(|weather| {
            weather.cuts += 1;
            weather.is_down = true;
        });
    }

    /// Lets the agent connect again.
    pub fn up(&self) {
        self.change(|weather| weather.is_down = false);
    }

    /// Lets nothing through in either direction, and breaks nothing: what the other end sees is silence.
    pub fn freeze(&self) {
        self.change(|weather| weather.is_frozen = true);
    }

    /// Goes on where it was frozen; nothing is lost.
    pub fn thaw(&self) {
        self.change(|weather| weather.is_frozen = false);
    }

    /// Everything takes so long from now on, in each direction: half of a round trip.
    pub fn delay(&self, each_way: Duration) {
        self.change(|weather| weather.delay = each_way);
    }

    /// How often the agent has tried to connect.
    #[must_use]
    pub fn dials(&self) -> usize {
        self.0.dials.load(Ordering::Relaxed)
    }

    fn change(&self, change: impl FnOnce(&mut Weather)) {
        self.0.weather.send_modify(change);
    }

    /// What an agent dials by.
    pub(super) fn dialer(&self) -> Dialer {
        let link = self.clone();
        Dialer::new(move |_, _| {
            let link = link.clone();
            async move { link.connect() }
        })
    }

    fn connect(&self) -> io::Result<DuplexStream> {
        self.0.dials.fetch_add(1, Ordering::Relaxed);
        if self.0.weather.borrow().is_down {
            return Err(io::ErrorKind::HostUnreachable.into());
        }
        let far = self.0.gateway.connect(PeerInfo::unknown())?;
        let (agent, near) = duplex(self.0.buffer);
        drop(tokio::spawn(carry(near, far, self.0.weather.subscribe())));
        Ok(agent)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("weather", &*self.0.weather.borrow())
            .field("dials", &self.dials())
            .finish_non_exhaustive()
    }
}
