use std::time::Duration;

use crate::net::Dialer;
use crate::upstream::{InvalidUpstream, Upstream, dial::Connector, target::Target};

#[cfg(feature = "tls")]
use crate::tls::{ClientTls, ClientTlsBuilder};

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
    /// HTTP/2 over TLS; an upstream that does not offer it by ALPN cannot be reached.
    #[cfg(feature = "tls")]
    Http2,
    /// What an upstream with TLS chooses by ALPN: HTTP/2, else HTTP/1.1. Requests that switch protocols, as those of WebSocket, go
    /// over HTTP/1.1.
    #[cfg(feature = "tls")]
    Negotiated,
}

/// The settings of an [`Upstream`]; made by [`Upstream::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct UpstreamBuilder {
    uri: String,
    protocol: Option<UpstreamProtocol>,
    max_connections: Option<usize>,
    settings: Settings,
    dialer: Option<Dialer>,
    #[cfg(feature = "tls")]
    tls: Option<ClientTlsBuilder>,
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) preserve_host: bool,
    pub(super) max_connections: MaxConnections,
    pub(super) max_idle: usize,
    pub(super) idle_timeout: Duration,
    pub(super) dial_timeout: Duration,
    pub(super) queue_timeout: Duration,
    pub(super) continue_timeout: Duration,
    pub(super) ping: Option<(Duration, Duration)>,
}

/// Connections at once, by what they speak.
#[derive(Clone, Copy, Debug)]
pub(super) struct MaxConnections {
    pub(super) http1: usize,
    pub(super) http2: usize,
}

impl UpstreamBuilder {
    pub(super) fn new(uri: String) -> Self {
        Self {
            uri,
            protocol: None,
            max_connections: None,
            dialer: None,
            #[cfg(feature = "tls")]
            tls: None,
            settings: Settings {
                preserve_host: true,
                max_connections: MaxConnections {
                    http1: DEFAULT_HTTP1_CONNECTIONS,
                    http2: DEFAULT_H2C_CONNECTIONS,
                },
                max_idle: DEFAULT_MAX_IDLE,
                idle_timeout: DEFAULT_IDLE_TIMEOUT,
                dial_timeout: DEFAULT_DIAL_TIMEOUT,
                queue_timeout: DEFAULT_QUEUE_TIMEOUT,
                continue_timeout: DEFAULT_CONTINUE_TIMEOUT,
                ping: None,
            },
        }
    }

    /// Which HTTP the upstream speaks (default HTTP/1.1 without TLS, with TLS what the upstream chooses).
    pub fn protocol(mut self, protocol: UpstreamProtocol) -> Self {
        self.protocol = Some(protocol);
        self
    }

    /// How the upstream is verified and what is shown to it, for an address with `https`. By default its certificate must lead to
    /// a CA of the system and have the name that stands in the address; that name is asked for by SNI, too.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: ClientTlsBuilder) -> Self {
        self.tls = Some(tls);
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

    /// Dials by this function instead of TCP; TLS, where the address asks for it, runs over what it gives.
    pub fn dialer(mut self, dialer: Dialer) -> Self {
        self.dialer = Some(dialer);
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
    /// If the address is not `http://HOST`, `https://HOST` or either with `:PORT`; if the protocol and the settings of TLS do not
    /// fit to it; if files with certificates cannot be used.
    pub fn build(self) -> Result<Upstream, InvalidUpstream> {
        let target = Target::parse(&self.uri)?;
        let protocol = check(self.protocol, target.is_tls)?;
        let connector = Connector::new(&target, self.settings.dial_timeout).dialed_by(self.dialer);
        #[cfg(feature = "tls")]
        let connector = match client_tls(self.tls, target.is_tls)? {
            Some(tls) => connector.with_tls(tls),
            None => connector,
        };
        let limits = MaxConnections {
            http1: self.max_connections.unwrap_or(DEFAULT_HTTP1_CONNECTIONS),
            http2: self.max_connections.unwrap_or(DEFAULT_H2C_CONNECTIONS),
        };
        let settings = Settings {
            max_connections: limits,
            ..self.settings
        };
        Ok(Upstream::new(target, connector, protocol, settings))
    }
}

/// The protocol for an address with TLS or without.
fn check(asked: Option<UpstreamProtocol>, is_tls: bool) -> Result<UpstreamProtocol, InvalidUpstream> {
    let invalid = |text: &str| Err(InvalidUpstream(text.to_owned()));
    match asked {
        #[cfg(feature = "tls")]
        None if is_tls => Ok(UpstreamProtocol::Negotiated),
        None => Ok(UpstreamProtocol::Http1),
        Some(UpstreamProtocol::H2c) if is_tls => {
            invalid("h2c is HTTP/2 without TLS: for https it is the protocol `http2`")
        }
        #[cfg(feature = "tls")]
        Some(UpstreamProtocol::Http2) if !is_tls => {
            invalid("HTTP/2 without TLS is the protocol `h2c`: choose that, or write https")
        }
        #[cfg(feature = "tls")]
        Some(UpstreamProtocol::Negotiated) if !is_tls => {
            invalid("without TLS nothing is negotiated: choose HTTP/1.1 or h2c, or write https")
        }
        Some(protocol) => Ok(protocol),
    }
}

#[cfg(feature = "tls")]
fn client_tls(asked: Option<ClientTlsBuilder>, is_tls: bool) -> Result<Option<ClientTls>, InvalidUpstream> {
    match asked {
        asked if is_tls => {
            let tls = asked.unwrap_or_else(ClientTls::builder).build();
            tls.map(Some).map_err(|error| InvalidUpstream(error.to_string()))
        }
        None => Ok(None),
        Some(_) => Err(InvalidUpstream(
            "there are settings of TLS for an upstream that has none: write https instead of http".to_owned(),
        )),
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
