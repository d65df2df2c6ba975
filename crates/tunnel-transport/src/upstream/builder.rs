use std::time::Duration;

use crate::upstream::{InvalidUpstream, Upstream, target::Target};

/// HTTP/1.1 connections to one upstream; usual servers take no more.
const DEFAULT_HTTP1_CONNECTIONS: usize = 1_024;

/// HTTP/2 connections to one upstream: eight hundred exchanges at once.
const DEFAULT_H2C_CONNECTIONS: usize = 8;

/// HTTP/1.1 connections kept without use.
const DEFAULT_MAX_IDLE: usize = 256;

/// Shorter than usual servers keep an idle connection (60 to 75 s), so that we close it and not they, under a request.
const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Long enough for one lost SYN and its second try, twice.
const DEFAULT_DIAL_TIMEOUT: Duration = Duration::from_secs(5);

/// A request that waits longer for a connection had better be answered with 503.
const DEFAULT_QUEUE_TIMEOUT: Duration = Duration::from_secs(1);

/// What clients commonly wait for a 100 (RFC 9110, section 10.1.1, names no time).
const DEFAULT_CONTINUE_TIMEOUT: Duration = Duration::from_secs(1);

/// Which HTTP an upstream speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 without TLS, by prior knowledge (RFC 9113, section 3.3). gRPC needs it.
    H2c,
}

/// The settings of an [`Upstream`]; made by [`Upstream::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct UpstreamBuilder {
    uri: String,
    protocol: UpstreamProtocol,
    max_connections: Option<usize>,
    settings: Settings,
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) preserve_host: bool,
    pub(super) max_connections: usize,
    pub(super) max_idle: usize,
    pub(super) idle_timeout: Duration,
    pub(super) dial_timeout: Duration,
    pub(super) queue_timeout: Duration,
    pub(super) continue_timeout: Duration,
    pub(super) ping: Option<(Duration, Duration)>,
}

impl UpstreamBuilder {
    pub(super) fn new(uri: String) -> Self {
        Self {
            uri,
            protocol: UpstreamProtocol::default(),
            max_connections: None,
            settings: Settings {
                preserve_host: true,
                max_connections: DEFAULT_HTTP1_CONNECTIONS,
                max_idle: DEFAULT_MAX_IDLE,
                idle_timeout: DEFAULT_IDLE_TIMEOUT,
                dial_timeout: DEFAULT_DIAL_TIMEOUT,
                queue_timeout: DEFAULT_QUEUE_TIMEOUT,
                continue_timeout: DEFAULT_CONTINUE_TIMEOUT,
                ping: None,
            },
        }
    }

    /// Which HTTP the upstream speaks (default HTTP/1.1).
    pub fn protocol(mut self, protocol: UpstreamProtocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Whether the upstream sees the authority that the outside client asked for (default), or its own address.
    pub fn preserve_host(mut self, preserve: bool) -> Self {
        self.settings.preserve_host = preserve;
        self
    }

    /// Connections at once (default 1,024 of HTTP/1.1, each with one exchange; 8 of HTTP/2, each with at most 100; at
    /// least 1). Upgraded ones, such as WebSockets, count for as long as they last.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = Some(connections.clamp(1, tokio::sync::Semaphore::MAX_PERMITS));
        self
    }

    /// HTTP/1.1 connections that are kept without use (default 256); 0 makes a new one for each request.
    pub fn max_idle(mut self, connections: usize) -> Self {
        self.settings.max_idle = connections;
        self
    }

    /// How long an HTTP/1.1 connection is kept without use (default 30 s). It should be shorter than the upstream keeps it,
    /// or requests meet connections that are just being closed.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.settings.idle_timeout = timeout;
        self
    }

    /// How long making a connection may take, with the look-up of the name and all of its addresses (default 5 s).
    pub fn dial_timeout(mut self, timeout: Duration) -> Self {
        self.settings.dial_timeout = timeout;
        self
    }

    /// How long a request waits for a connection when as many as allowed are busy (default 1 s); then it fails with
    /// [`Cause::Overloaded`](tunnel_core::Cause::Overloaded).
    pub fn queue_timeout(mut self, timeout: Duration) -> Self {
        self.settings.queue_timeout = timeout;
        self
    }

    /// How long the body of a request with `Expect: 100-continue` waits for an upstream that says nothing (default 1 s).
    pub fn continue_timeout(mut self, timeout: Duration) -> Self {
        self.settings.continue_timeout = timeout;
        self
    }

    /// HTTP/2 PINGs while exchanges run: sent after so much silence, and the connection is dead when one has no answer in
    /// that time. `None`, the default, sends none: many gRPC servers take one in five minutes and no more (gRPC A8), and
    /// end the connection of a client that sends more with GOAWAY `too_many_pings`, under all of its calls. The kernel's
    /// probes find an upstream that vanished, in half a minute. Pings find one whose machine lives and which does nothing
    /// any more, or which stands behind a proxy that answers for it; set them where the upstream allows them.
    pub fn ping(mut self, interval_and_timeout: Option<(Duration, Duration)>) -> Self {
        self.settings.ping = interval_and_timeout;
        self
    }

    /// An upstream with these settings. It connects when the first request comes.
    ///
    /// # Errors
    ///
    /// If the address is not `http://HOST` or `http://HOST:PORT`.
    pub fn build(self) -> Result<Upstream, InvalidUpstream> {
        let target = Target::parse(&self.uri)?;
        let default = match self.protocol {
            UpstreamProtocol::Http1 => DEFAULT_HTTP1_CONNECTIONS,
            UpstreamProtocol::H2c => DEFAULT_H2C_CONNECTIONS,
        };
        let mut settings = self.settings;
        settings.max_connections = self.max_connections.unwrap_or(default);
        Ok(Upstream::new(target, self.protocol, settings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_pings_unless_they_are_asked_for() {
        let builder = || UpstreamBuilder::new("http://a".to_owned());
        assert_eq!(builder().settings.ping, None);
        let times = Some((Duration::from_secs(300), Duration::from_secs(10)));
        assert_eq!(builder().ping(times).settings.ping, times);
    }
}
