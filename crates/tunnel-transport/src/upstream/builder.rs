use std::{sync::Arc, time::Duration};

use crate::net::Dialer;
use tunnel_core::balance::{AnyPick, Balancer, LeastPending, Outliers, ZonePreference};

#[cfg(feature = "tls")]
use crate::tls::{ClientTls, ClientTlsBuilder};
use crate::{
    Backoff,
    srv::Dns,
    upstream::{
        AllowList, HashKey, HealthCheck, InvalidUpstream, Upstream, UpstreamEndpoint,
        cluster::{Cluster, Parts},
        line::OpenCount,
        lone::Lone,
        node::Maker,
        resolve::{LookUps, Resolver},
        service::Kind,
        target::Target,
        tasks::Tasks,
    },
};

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

/// Proxies and servers commonly let a connection of HTTP/2 be idle for longer.
const DEFAULT_HTTP2_IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// An endpoint among others that could not be reached is tried again after a moment, and then less and less often.
const DEFAULT_BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(200),
    cap: Duration::from_secs(5),
};

/// Looking names up more often than this helps nobody.
const SHORTEST_RESOLVE: Duration = Duration::from_millis(100);

/// The most endpoints that may be configured.
const MAX_ENDPOINTS: usize = 1_024;

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
    endpoints: Vec<UpstreamEndpoint>,
    protocol: Option<UpstreamProtocol>,
    max_connections: Option<usize>,
    policy: AnyPick,
    hash_key: Option<HashKey>,
    slow_start: Duration,
    zone: Option<ZonePreference>,
    outliers: Option<Outliers>,
    health: Option<HealthCheck>,
    resolve: Option<Duration>,
    backoff: Option<Backoff>,
    dns: Dns,
    #[cfg(test)]
    resolver: Option<Resolver>,
    settings: Settings,
    #[cfg(feature = "tls")]
    tls: Option<ClientTlsBuilder>,
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) preserve_host: bool,
    pub(super) allowed: Option<AllowList>,
    pub(super) max_connections: MaxConnections,
    /// Whether there may be more.
    pub(super) elastic: bool,
    pub(super) initial_connections: usize,
    pub(super) max_idle: usize,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) max_life: Option<Duration>,
    pub(super) dial_timeout: Duration,
    pub(super) queue_timeout: Duration,
    pub(super) continue_timeout: Duration,
    pub(super) ping: Option<(Duration, Duration)>,
    pub(super) dialer: Option<Dialer>,
}

/// Connections at once, by what they speak.
#[derive(Clone, Copy, Debug)]
pub(super) struct MaxConnections {
    pub(super) http1: usize,
    pub(super) http2: usize,
}

impl Settings {
    pub(super) fn http1_idle_timeout(&self) -> Duration {
        self.idle_timeout.unwrap_or(DEFAULT_IDLE_TIMEOUT)
    }

    pub(super) fn http2_idle_timeout(&self) -> Duration {
        self.idle_timeout.unwrap_or(DEFAULT_HTTP2_IDLE_TIMEOUT)
    }

    /// For the connection on which health is checked.
    pub(super) fn for_checks(&self) -> Self {
        Self {
            max_connections: MaxConnections { http1: 1, http2: 1 },
            max_idle: 1,
            elastic: false,
            ..self.clone()
        }
    }
}

impl UpstreamBuilder {
    pub(super) fn new() -> Self {
        Self {
            endpoints: Vec::new(),
            protocol: None,
            max_connections: None,
            policy: LeastPending::new().into(),
            hash_key: None,
            slow_start: Duration::ZERO,
            zone: None,
            outliers: Some(Outliers::default()),
            health: None,
            resolve: None,
            backoff: None,
            dns: Dns::system(),
            #[cfg(test)]
            resolver: None,
            #[cfg(feature = "tls")]
            tls: None,
            settings: Settings {
                preserve_host: true,
                allowed: None,
                max_connections: MaxConnections {
                    http1: DEFAULT_HTTP1_CONNECTIONS,
                    http2: DEFAULT_H2C_CONNECTIONS,
                },
                elastic: false,
                initial_connections: 0,
                max_idle: DEFAULT_MAX_IDLE,
                idle_timeout: None,
                max_life: None,
                dial_timeout: DEFAULT_DIAL_TIMEOUT,
                queue_timeout: DEFAULT_QUEUE_TIMEOUT,
                continue_timeout: DEFAULT_CONTINUE_TIMEOUT,
                ping: None,
                dialer: None,
            },
        }
    }

    /// Adds a server that does the same as the others. With several, requests are shared out by the
    /// [policy](Self::policy), and one of which nothing was written goes to another endpoint when the first takes none of it.
    pub fn endpoint(mut self, endpoint: UpstreamEndpoint) -> Self {
        self.endpoints.push(endpoint);
        self
    }

    /// How one of several endpoints is chosen (default least pending).
    pub fn policy(mut self, policy: impl Into<AnyPick>) -> Self {
        self.policy = policy.into();
        self
    }

    /// Which requests have to come to the same endpoint again, for
    /// [`ConsistentHash`](tunnel_core::balance::ConsistentHash).
    pub fn hash_key(mut self, key: HashKey) -> Self {
        self.hash_key = Some(key);
        self
    }

    /// How long it takes until an endpoint that has just come has its whole share (default: it has it at once).
    pub fn slow_start(mut self, time: Duration) -> Self {
        self.slow_start = time;
        self
    }

    /// Prefers endpoints of a [zone](UpstreamEndpoint::zone).
    pub fn zone(mut self, zone: ZonePreference) -> Self {
        self.zone = Some(zone);
        self
    }

    /// When endpoints at which exchanges fail get nothing for a while (default as [`Outliers::default`]); `None` for never. An
    /// exchange fails when the endpoint cannot be reached, breaks off, or answers 502, 503, 504, or UNAVAILABLE of gRPC.
    pub fn outliers(mut self, outliers: Option<Outliers>) -> Self {
        self.outliers = outliers;
        self
    }

    /// Asks every endpoint from time to time whether it is well (default: nobody asks). One that is not gets no requests; if none
    /// is, requests fail at once with [`Cause::NoEndpoint`](tunnel_core::Cause::NoEndpoint), which is 503, or UNAVAILABLE.
    pub fn health(mut self, check: HealthCheck) -> Self {
        self.health = Some(check);
        self
    }

    /// Makes an endpoint of every address that a name has, and looks names up again so often (at least 100 ms, and up to a tenth
    /// more or less). Addresses that have gone get nothing new, and what they have open goes on. A look-up that fails changes
    /// nothing. By default a name is one endpoint, and is looked up for each connection that is made.
    pub fn resolve_every(mut self, interval: Duration) -> Self {
        self.resolve = Some(interval.max(SHORTEST_RESOLVE));
        self
    }

    /// Who is asked for the SRV records of addresses such as `srv+http://_web._tcp.example.com` (default the servers that the system
    /// asks). Each address of a server that they name is an endpoint. Those with the lowest priority number get all requests, by their
    /// weights, as long as one of them can take any; then those with the next (RFC 2782). They are asked for again when their time is
    /// over, but at most once a second, and at least every five minutes, or as often as
    /// [`resolve_every`](Self::resolve_every) says; a look-up that fails changes nothing.
    #[cfg(feature = "srv")]
    pub fn dns(mut self, dns: Dns) -> Self {
        self.dns = dns;
        self
    }

    /// How long an endpoint is let be after dials in a row have failed. Others are chosen until then, if there are any; requests
    /// for an upstream of one endpoint fail at once. By default it is 200 ms and at most 5 s, with full jitter, where there are
    /// several endpoints, and there is none where there is one.
    pub fn dial_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(backoff);
        self
    }

    /// Connections to each endpoint that are made before the first request needs them (default 0); see
    /// [`Upstream::start`]. They close like others when nobody uses them.
    pub fn initial_connections(mut self, connections: usize) -> Self {
        self.settings.initial_connections = connections;
        self
    }

    /// Whether there may be more than [`max_connections`](Self::max_connections) when all of them are busy. Connections of
    /// HTTP/1.1 beyond that number are closed after one exchange, those of HTTP/2 when they are idle. By default there are
    /// never more: a request waits for the [time](Self::queue_timeout), and then fails.
    pub fn elastic(mut self, elastic: bool) -> Self {
        self.settings.elastic = elastic;
        self
    }

    /// How long a connection is used at most (default: as long as it works). It ends between two exchanges, up to a tenth earlier;
    /// exchanges that run on one of HTTP/2 go on.
    pub fn max_life(mut self, life: Duration) -> Self {
        self.settings.max_life = Some(life);
        self
    }

    #[cfg(test)]
    pub(super) fn resolver(mut self, resolver: Resolver) -> Self {
        self.resolver = Some(resolver);
        self
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

    /// Where its endpoints may be: others are refused when it is built, and addresses that their names turn out to have are not
    /// dialled. By default they may be everywhere.
    pub fn allow(mut self, list: AllowList) -> Self {
        self.settings.allowed = Some(list);
        self
    }

    /// Whether the upstream sees the authority that the outside client asked for (default), or its own address.
    pub fn preserve_host(mut self, preserve: bool) -> Self {
        self.settings.preserve_host = preserve;
        self
    }

    /// Connections to each endpoint at once (default 1,024 of HTTP/1.1, each with one exchange; 8 of HTTP/2, each with at most 100; at
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

    /// How long a connection is kept without use (default 30 s for HTTP/1.1, 5 minutes for HTTP/2, which may end after half of
    /// it). It should be shorter than the upstream keeps it, or requests meet connections that are just being closed.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.settings.idle_timeout = Some(timeout);
        self
    }

    /// How long making a connection may take, with the look-up of the name and all of its addresses (default 5 s).
    pub fn dial_timeout(mut self, timeout: Duration) -> Self {
        self.settings.dial_timeout = timeout;
        self
    }

    /// Dials by this function instead of TCP or a Unix socket; TLS, where the address asks for it, runs over what it gives.
    ///
    /// The function is called with the name or the address of an endpoint, as it was written. A [list](Self::allow) of what may be
    /// reached is asked about names alone then, since who dials is who looks them up.
    pub fn dialer(mut self, dialer: Dialer) -> Self {
        self.settings.dialer = Some(dialer);
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

    /// An upstream with these settings. It connects when the first request comes, or as [`Upstream::start`] says.
    ///
    /// # Errors
    ///
    /// If an address is not `http://HOST`, `https://HOST`, either with `:PORT`, `unix:PATH`, or `srv+http://NAME` or `srv+https://NAME`; if there is no endpoint, or more
    /// than 1,024; if some endpoints have TLS and others not; if the protocol and the settings of TLS do not fit to them; if files
    /// with certificates cannot be used.
    pub fn build(self) -> Result<Upstream, InvalidUpstream> {
        let mut endpoints = Vec::with_capacity(self.endpoints.len());
        for endpoint in self.endpoints {
            let target = Target::parse(&endpoint.uri)?;
            if let Some(allowed) = &self.settings.allowed {
                allowed.check(&target)?;
            }
            endpoints.push((endpoint, target));
        }
        let is_tls = check_endpoints(&endpoints)?;
        let protocol = check(self.protocol, is_tls)?;
        if protocol == UpstreamProtocol::Http1 && self.health.as_ref().is_some_and(HealthCheck::needs_http2) {
            let text = "health checks by gRPC need HTTP/2: choose the protocol `h2c`, or `http2` with https";
            return Err(InvalidUpstream(text.to_owned()));
        }
        let limits = MaxConnections {
            http1: self.max_connections.unwrap_or(DEFAULT_HTTP1_CONNECTIONS),
            http2: self.max_connections.unwrap_or(DEFAULT_H2C_CONNECTIONS),
        };
        let settings = Arc::new(Settings {
            max_connections: limits,
            ..self.settings
        });
        let (tasks, open) = (Arc::new(Tasks::default()), OpenCount::default());
        let resolver = Resolver::System;
        #[cfg(test)]
        let resolver = self.resolver.unwrap_or(resolver);
        let look_ups = LookUps {
            resolver,
            interval: self.resolve,
            dns: self.dns,
        };
        let has_names = endpoints
            .iter()
            .any(|(_, target)| look_ups.concern(&target.address));
        let is_lone = endpoints.len() == 1 && !has_names && self.health.is_none();
        let maker = Maker {
            protocol,
            settings: Arc::clone(&settings),
            #[cfg(feature = "tls")]
            tls: client_tls(self.tls, is_tls)?,
            backoff: self.backoff.or((!is_lone).then_some(DEFAULT_BACKOFF)),
            is_lone,
            tasks: Arc::clone(&tasks),
            open: open.clone(),
        };
        if is_lone && let Some((endpoint, target)) = endpoints.pop() {
            let lone = Box::new(Lone::new(maker, endpoint, target));
            return Ok(Upstream::new(settings, Kind::Lone(lone), tasks, open));
        }
        let mut balancer = Balancer::new(self.policy).slow_start(self.slow_start);
        if let Some(zone) = self.zone {
            balancer = balancer.zone(zone);
        }
        if let Some(outliers) = self.outliers {
            balancer = balancer.outliers(outliers);
        }
        let cluster = Cluster::new(Parts {
            endpoints,
            maker,
            balancer,
            hash_key: self.hash_key,
            health: self.health,
            look_ups,
            initial_connections: settings.initial_connections,
        });
        Ok(Upstream::new(settings, Kind::Many(cluster), tasks, open))
    }
}

/// Whether all of them have TLS.
fn check_endpoints(endpoints: &[(UpstreamEndpoint, Target)]) -> Result<bool, InvalidUpstream> {
    let invalid = |text: &str| Err(InvalidUpstream(text.to_owned()));
    let Some((_, first)) = endpoints.first() else {
        return invalid("the upstream has no endpoint: give it one such as http://127.0.0.1:3000");
    };
    if endpoints.len() > MAX_ENDPOINTS {
        return invalid("the upstream has more than 1024 endpoints");
    }
    if endpoints.iter().any(|(_, target)| target.is_tls != first.is_tls) {
        return invalid("some endpoints have https and others not: make two upstreams of them");
    }
    Ok(first.is_tls)
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
        let builder = UpstreamBuilder::new;
        assert_eq!(builder().settings.ping, None);
        let times = Some((Duration::from_secs(300), Duration::from_secs(10)));
        assert_eq!(builder().ping(times).settings.ping, times);
    }
}
