use std::time::Duration;

use http::Extensions;
use tunnel_core::admit::IpPrefix;

use crate::{
    entry::{Serve, addresses::PerAddress, secure::Security},
    net::{Listener, windows},
};

/// The head of the largest request that the stack answers by itself, in bytes; the codec takes nearly twice as much.
pub(super) const DEFAULT_HEAD_BYTES: u32 = 32 * 1024;

/// The fields of that head.
const DEFAULT_HEAD_FIELDS: usize = 100;

/// A head arrives in one round trip or a few; who takes longer holds a connection for nothing.
const DEFAULT_HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The preface of HTTP/2 is one small packet, and whoever has begun it has it whole.
const DEFAULT_PREFACE_TIMEOUT: Duration = Duration::from_secs(5);

/// As long as a dead peer is borne: an upload that stands still for so long holds an exchange for nothing.
const DEFAULT_BODY_IDLE: Duration = Duration::from_secs(30);

/// Twice the usual bound, because a reader may only pause. It is that of the sockets, too.
const DEFAULT_SEND_TIMEOUT: Duration = Duration::from_secs(120);

/// An HTTP/2 connection costs a client little to make again, and us little to keep for a while.
const DEFAULT_IDLE: Duration = Duration::from_secs(60);

/// Streams that a client may have reset before they were looked at; above what clients do that cancel a page, far below a flood.
pub const DEFAULT_WAITING_RESETS: usize = 20;

/// Streams of one connection that this end may have to reset; clients that are not hostile cause next to none.
pub const DEFAULT_WRONG_RESETS: usize = 1024;

/// Connections at once: far above what one process serves well, far below what makes it run out of memory.
const DEFAULT_MAX_CONNECTIONS: usize = 10_000;

/// Connections of one address at once: enough for an office or a proxy, and ten of them fill the entry, not one.
const DEFAULT_MAX_PER_ADDRESS: usize = 1_000;

/// The usual grace of a process manager before it kills.
const DEFAULT_DRAIN: Duration = Duration::from_secs(30);

/// The settings of an entry. Every bound has a default, so `Entry::new()` is safe to put before the world.
#[derive(Clone, Debug)]
pub struct Entry {
    pub(super) first_bytes_timeout: Duration,
    pub(super) preface_timeout: Duration,
    pub(super) head_timeout: Duration,
    pub(super) body_idle: Option<Duration>,
    /// Whether `body_idle` holds for calls of gRPC as well.
    pub(super) calls_idle: bool,
    /// Whether connections are read in turns.
    pub(super) in_turns: bool,
    pub(super) send_timeout: Option<Duration>,
    pub(super) idle: Option<Duration>,
    pub(super) head_bytes: u32,
    pub(super) head_fields: usize,
    pub(super) ping_interval: Duration,
    pub(super) ping_timeout: Duration,
    pub(super) max_streams: u32,
    pub(super) resets: (usize, usize),
    pub(super) stream_window: u32,
    pub(super) max_frame: Option<u32>,
    pub(super) send_buffer: usize,
    pub(super) max_connections: usize,
    pub(super) per_address: PerAddress,
    pub(super) lame_duck: Duration,
    pub(super) drain: Duration,
    pub(super) security: Security,
    pub(super) extensions: Extensions,
}

impl Entry {
    /// An entry with the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            first_bytes_timeout: DEFAULT_HEAD_TIMEOUT,
            preface_timeout: DEFAULT_PREFACE_TIMEOUT,
            head_timeout: DEFAULT_HEAD_TIMEOUT,
            body_idle: Some(DEFAULT_BODY_IDLE),
            calls_idle: false,
            in_turns: false,
            send_timeout: Some(DEFAULT_SEND_TIMEOUT),
            idle: Some(DEFAULT_IDLE),
            head_bytes: DEFAULT_HEAD_BYTES,
            head_fields: DEFAULT_HEAD_FIELDS,
            ping_interval: windows::PING_INTERVAL,
            ping_timeout: windows::PING_TIMEOUT,
            max_streams: windows::EDGE_MAX_STREAMS,
            resets: (DEFAULT_WAITING_RESETS, DEFAULT_WRONG_RESETS),
            stream_window: windows::EDGE_STREAM_WINDOW,
            max_frame: None,
            send_buffer: windows::EDGE_SEND_BUFFER,
            max_connections: DEFAULT_MAX_CONNECTIONS,
            per_address: PerAddress {
                limit: DEFAULT_MAX_PER_ADDRESS,
                exempt: Vec::new(),
            },
            lame_duck: Duration::ZERO,
            drain: DEFAULT_DRAIN,
            security: Security::default(),
            extensions: Extensions::new(),
        }
    }

    /// The settings for the port that agents dial: the tunnel's windows instead of an edge's.
    pub(crate) fn for_agents() -> Self {
        Self {
            max_streams: windows::TUNNEL_MAX_STREAMS,
            stream_window: windows::TUNNEL_STREAM_WINDOW,
            max_frame: Some(windows::TUNNEL_MAX_FRAME),
            send_buffer: windows::TUNNEL_SEND_BUFFER,
            calls_idle: true,
            in_turns: true,
            security: Security::for_agents(),
            ..Self::new()
        }
    }

    /// The tunnel itself notices in this time that a stream is silent: no limit for bodies is shorter.
    pub(crate) fn silence_is_seen_in(mut self, time: Duration) -> Self {
        self.body_idle = self.body_idle.map(|idle| idle.max(time));
        self
    }

    /// Every connection speaks TLS, and offers HTTP/2 and HTTP/1.1 by ALPN. By default none does: a port is one or the other.
    ///
    /// Requests then have [`TlsInfo`](crate::tls::TlsInfo) in their extensions, and the
    /// [`TlsIdentity`](tunnel_core::TlsIdentity) of a client that showed a certificate; the scheme of their
    /// [`PeerInfo`](tunnel_core::PeerInfo) is `https`. A client that speaks plain HTTP/1.1 is answered 400 and the reason.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: crate::tls::ServerTls) -> Self {
        self.security.tls = Some(tls);
        self
    }

    /// How long a TLS handshake may take (default 10 s).
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.security.timeout = timeout;
        self
    }

    /// How long a new connection may take until it has shown which HTTP it speaks (default 10 s);
    /// with TLS, from the end of the handshake on.
    #[must_use]
    pub fn first_bytes_timeout(mut self, timeout: Duration) -> Self {
        self.first_bytes_timeout = timeout;
        self
    }

    /// How long a client that has begun the preface of HTTP/2, or has chosen HTTP/2 by ALPN, may take to send all of it
    /// (default 5 s).
    #[must_use]
    pub fn preface_timeout(mut self, timeout: Duration) -> Self {
        self.preface_timeout = timeout;
        self
    }

    /// How long an HTTP/1.1 connection may take for one head, from the end of the exchange before it (default 10 s). It
    /// is the time that a kept connection may be idle, too.
    #[must_use]
    pub fn head_timeout(mut self, timeout: Duration) -> Self {
        self.head_timeout = timeout;
        self
    }

    /// How long the service waits for the next piece of a request's body (default 30 s; `None` means for ever). It runs only
    /// while the service asks for one. The body then fails with a [`TunnelError`](tunnel_core::TunnelError) of
    /// [`Cause::BodyIdle`](tunnel_core::Cause::BodyIdle), which a stack of layers answers with 408.
    ///
    /// It stands here, and not in a layer, because it protects whatever is served. A layer that knows better sets
    /// [`BodyIdle`](tunnel_core::route::BodyIdle), as `DeadlineLayer` does for rules that have a time of their own. Calls of
    /// gRPC are free to be silent, and pings tell whether their callers live; on the port for agents it holds for them too,
    /// but is never shorter than the heartbeat allows.
    #[must_use]
    pub fn body_idle_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.body_idle = timeout;
        self
    }

    /// How long a client may take nothing of what is sent to it (default 120 s; `None` means for ever): on HTTP/1.1, and on
    /// HTTP/2 when it does not even read the connection, the connection then ends with RST; a stream of HTTP/2 whose window
    /// it keeps closed is reset alone. Upgraded streams have limits of their own.
    ///
    /// On Linux the sockets of [`SocketOptions::edge`](crate::net::SocketOptions::edge) end after 120 s by themselves.
    #[must_use]
    pub fn send_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.send_timeout = timeout;
        self
    }

    /// How long an HTTP/2 connection without any stream stays open (default 60 s; `None` means for ever), however well it
    /// answers pings. One of HTTP/1.1 has the time of [`head_timeout`](Self::head_timeout).
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.idle = timeout;
        self
    }

    /// The largest head that the served stack answers by itself: `bytes` (default 32 KiB) and `fields` (default 100). The
    /// codec takes twice as much (at least 8 KiB), so that the stack's own answer comes out in full; it refuses more, with an empty 431.
    /// Only of 100 fields or fewer it takes 100 over HTTP/1.1: with another limit it would allocate 6 KiB for each head.
    #[must_use]
    pub fn head_limit(mut self, bytes: u32, fields: usize) -> Self {
        self.head_bytes = bytes;
        self.head_fields = fields;
        self
    }

    /// HTTP/2 PINGs: sent after `interval` of silence (default 15 s), and the connection is closed when one has no answer
    /// within `timeout` (default 10 s).
    #[must_use]
    pub fn ping(mut self, interval: Duration, timeout: Duration) -> Self {
        self.ping_interval = interval;
        self.ping_timeout = timeout;
        self
    }

    /// Concurrent requests of one HTTP/2 connection (default 100).
    #[must_use]
    pub fn max_concurrent_streams(mut self, streams: u32) -> Self {
        self.max_streams = streams;
        self
    }

    /// How many streams of one HTTP/2 connection may end badly before the whole connection does: `waiting` ones that the client
    /// has reset before they were looked at (rapid reset, CVE-2023-44487; default 20, at one time), and `wrong` ones that this
    /// end had to reset because of what the client sent (MadeYouReset, CVE-2025-8671; default 1,024, in all).
    #[must_use]
    pub fn reset_limits(mut self, waiting: usize, wrong: usize) -> Self {
        self.resets = (waiting, wrong);
        self
    }

    /// The receive window of one HTTP/2 stream, in bytes (default 256 KiB, at most 2^31 - 1): what a request whose body
    /// nobody reads may make this process store. [`windows`] has the rule that binds it to the number of streams.
    #[must_use]
    pub fn stream_window(mut self, bytes: u32) -> Self {
        self.stream_window = bytes.min(windows::CONNECTION_WINDOW);
        self
    }

    /// Connections at once, upgraded ones included (default 10,000, at least 1). Beyond it nothing is accepted; the
    /// kernel's backlog holds the next ones.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections.clamp(1, tokio::sync::Semaphore::MAX_PERMITS);
        self
    }

    /// Connections of one address at once, upgraded ones included (default 1,000, at least 1; `usize::MAX` means that nobody
    /// counts). Those beyond are closed when they are accepted. An IPv6 address counts by its /64. A proxy in front of the
    /// entry, and the local host, are addresses like others: see [`exempt_addresses`](Self::exempt_addresses).
    #[must_use]
    pub fn max_connections_per_address(mut self, connections: usize) -> Self {
        self.per_address.limit = connections.max(1);
        self
    }

    /// Addresses whose connections count in the total only; none by default.
    #[must_use]
    pub fn exempt_addresses(mut self, prefixes: impl IntoIterator<Item = IpPrefix>) -> Self {
        self.per_address.exempt = prefixes.into_iter().collect();
        self
    }

    /// How long a graceful shutdown goes on accepting and serving before it drains (default: not at all): until balancers have seen
    /// that readiness fails, and clients have gone. Answers of HTTP/1.1 carry `Connection: close` meanwhile, and a
    /// connection of HTTP/2 gets GOAWAY, a new one with its first request; whatever was sent is served.
    #[must_use]
    pub fn lame_duck(mut self, time: Duration) -> Self {
        self.lame_duck = time;
        self
    }

    /// Puts a clone of `value` into the extensions of every request, in place of an earlier value of this type: what the served stack
    /// looks for, such as an `Arc` of the [`Policy`](tunnel_core::admit::Policy) by which it admits.
    #[must_use]
    pub fn extension<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.extensions.insert(value);
        self
    }

    /// How long a graceful shutdown waits for running exchanges before it cuts them (default 30 s).
    #[must_use]
    pub fn drain(mut self, deadline: Duration) -> Self {
        self.drain = deadline;
        self
    }

    /// Serves every connection of `listener` with a clone of `service`; await it to run.
    ///
    /// The service's readiness is awaited per request, inside the request's own future.
    pub fn serve<L: Listener, S>(self, listener: L, service: S) -> Serve<L, S> {
        Serve::new(self, listener, service)
    }
}

impl Default for Entry {
    fn default() -> Self {
        Self::new()
    }
}
