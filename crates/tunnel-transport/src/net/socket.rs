use std::{io, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// How long a connection may be idle before the kernel probes it.
pub const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);

/// The time between two probes.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// Probes without an answer after which the connection is dead: an idle peer that vanished is found in 30 s.
pub const KEEPALIVE_PROBES: u32 = 3;

/// As long as the kernel takes to find an idle peer dead.
const TUNNEL_USER_TIMEOUT: Duration = Duration::from_secs(30);

/// Twice the usual bound for a client that takes nothing (60 s). It must be generous, because on Linux it ends a
/// connection whose window the living peer keeps closed, too: a reader that only pauses.
const EDGE_USER_TIMEOUT: Duration = Duration::from_secs(120);

/// What we set on every TCP socket: no delay of small writes, always, and how a peer that vanished is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    keepalive: bool,
    user_timeout: Option<Duration>,
}

impl SocketOptions {
    /// For entries and upstreams, whose peers may stop reading for a while.
    #[must_use]
    pub const fn edge() -> Self {
        Self {
            keepalive: true,
            user_timeout: Some(EDGE_USER_TIMEOUT),
        }
    }

    /// For the tunnel's connection, whose reader never waits.
    #[must_use]
    pub const fn tunnel() -> Self {
        Self {
            keepalive: true,
            user_timeout: Some(TUNNEL_USER_TIMEOUT),
        }
    }

    /// Whether the kernel probes an idle connection ([`KEEPALIVE_IDLE`], [`KEEPALIVE_INTERVAL`], [`KEEPALIVE_PROBES`]).
    #[must_use]
    pub const fn keepalive(mut self, on: bool) -> Self {
        self.keepalive = on;
        self
    }

    /// How long sent bytes may stay unacknowledged, or unsent before a closed window, until the connection is dead
    /// (`TCP_USER_TIMEOUT`; Linux only, to the millisecond). `None` leaves it to the kernel's retransmissions.
    #[must_use]
    pub const fn user_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.user_timeout = timeout;
        self
    }

    /// Sets these options.
    ///
    /// # Errors
    ///
    /// That of the first option that the system refuses; the others may be set or not. A connection that is broken
    /// already refuses them on some systems.
    pub fn apply(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let socket = SockRef::from(stream);
        if self.keepalive {
            let probes = TcpKeepalive::new()
                .with_time(KEEPALIVE_IDLE)
                .with_interval(KEEPALIVE_INTERVAL);
            #[cfg(not(windows))]
            let probes = probes.with_retries(KEEPALIVE_PROBES);
            socket.set_tcp_keepalive(&probes)?;
        }
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(self.user_timeout)?;
        Ok(())
    }
}

impl Default for SocketOptions {
    /// Those of an [edge](Self::edge).
    fn default() -> Self {
        Self::edge()
    }
}
