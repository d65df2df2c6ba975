use std::time::Duration;

use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    server::conn::auto,
};

use crate::{
    entry::{Serve, secure::Security},
    net::{Listener, windows},
};

/// The head of the largest request that the stack answers by itself, in bytes; the codec takes twice as much.
const DEFAULT_HEAD_BYTES: u32 = 32 * 1024;

/// The fields of that head.
const DEFAULT_HEAD_FIELDS: usize = 100;

/// hyper's own lower bound for the buffer of an HTTP/1.1 connection, in bytes.
const SMALLEST_BUFFER: usize = 8 * 1024;

/// A head arrives in one round trip or a few; who takes longer holds a connection for nothing.
const DEFAULT_HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections at once: far above what one process serves well, far below what makes it run out of memory.
const DEFAULT_MAX_CONNECTIONS: usize = 10_000;

/// The usual grace of a process manager before it kills.
const DEFAULT_DRAIN: Duration = Duration::from_secs(30);

/// The settings of an entry. Every bound has a default, so `Entry::new()` is safe to put before the world.
#[derive(Clone, Debug)]
pub struct Entry {
    pub(super) first_bytes_timeout: Duration,
    pub(super) head_timeout: Duration,
    pub(super) head_bytes: u32,
    pub(super) head_fields: usize,
    pub(super) ping_interval: Duration,
    pub(super) ping_timeout: Duration,
    pub(super) max_streams: u32,
    pub(super) stream_window: u32,
    pub(super) max_frame: Option<u32>,
    pub(super) send_buffer: usize,
    pub(super) max_connections: usize,
    pub(super) drain: Duration,
    pub(super) security: Security,
}

impl Entry {
    /// An entry with the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            first_bytes_timeout: DEFAULT_HEAD_TIMEOUT,
            head_timeout: DEFAULT_HEAD_TIMEOUT,
            head_bytes: DEFAULT_HEAD_BYTES,
            head_fields: DEFAULT_HEAD_FIELDS,
            ping_interval: windows::PING_INTERVAL,
            ping_timeout: windows::PING_TIMEOUT,
            max_streams: windows::EDGE_MAX_STREAMS,
            stream_window: windows::EDGE_STREAM_WINDOW,
            max_frame: None,
            send_buffer: windows::EDGE_SEND_BUFFER,
            max_connections: DEFAULT_MAX_CONNECTIONS,
            drain: DEFAULT_DRAIN,
            security: Security::default(),
        }
    }

    /// The settings for the port that agents dial: the tunnel's windows instead of an edge's.
    pub(crate) fn for_agents() -> Self {
        Self {
            max_streams: windows::TUNNEL_MAX_STREAMS,
            stream_window: windows::TUNNEL_STREAM_WINDOW,
            max_frame: Some(windows::TUNNEL_MAX_FRAME),
            send_buffer: windows::TUNNEL_SEND_BUFFER,
            security: Security::for_agents(),
            ..Self::new()
        }
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

    /// How long an HTTP/1.1 connection may take for one head, from the end of the exchange before it (default 10 s). It
    /// is the time that a kept connection may be idle, too.
    #[must_use]
    pub fn head_timeout(mut self, timeout: Duration) -> Self {
        self.head_timeout = timeout;
        self
    }

    /// The largest head that the served stack answers by itself: `bytes` (default 32 KiB) and `fields` (default 100). The
    /// codec takes twice as much (at least 8 KiB), so that the stack's own answer comes out in full; it refuses more.
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

    /// The hyper server with these settings. HTTP/1.1 half-close stays off: a FIN means that the client left.
    pub(super) fn codec(&self) -> auto::Builder<TokioExecutor> {
        let head_bytes = self.head_bytes.saturating_mul(2).max(SMALLEST_BUFFER as u32);
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.head_timeout)
            .half_close(false)
            .max_headers(self.head_fields.saturating_mul(2))
            .max_buf_size(head_bytes as usize);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(self.ping_interval)
            .keep_alive_timeout(self.ping_timeout)
            .max_concurrent_streams(self.max_streams)
            .initial_stream_window_size(self.stream_window)
            .initial_connection_window_size(windows::CONNECTION_WINDOW)
            .adaptive_window(false)
            .max_header_list_size(head_bytes)
            .max_frame_size(self.max_frame)
            .max_send_buf_size(self.send_buffer)
            .enable_connect_protocol();
        builder
    }
}

impl Default for Entry {
    fn default() -> Self {
        Self::new()
    }
}
