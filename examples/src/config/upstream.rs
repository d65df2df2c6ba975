//! An upstream: of an agent, or of the gateway itself.

use serde::Deserialize;
use serde_saphyr::{Location, Spanned};
use tunnel_layers::key::ByAddress;
use tunnel_transport::{
    Backoff, Upstream,
    upstream::{HashKey, UpstreamBuilder, UpstreamEndpoint, UpstreamProtocol},
};

use super::{
    Surroundings,
    balance::{self, Level, RawZone},
    dns,
    error::Checker,
    hash::{self, RawHash, RawHashOf},
    health::RawHealth,
    outliers::{self, RawOutliers},
    text_or::TextOr,
    tls::{self, RawClientTls},
    units::{Count, Length, Time},
};

/// The time between PINGs where a file asks for them and does not say it: what servers of gRPC allow by default (gRPC A8).
const PING_INTERVAL: std::time::Duration = std::time::Duration::from_secs(300);

/// As gRPC has it.
const PING_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(20);

/// `upstream:` of an agent or a route, or one of the `upstreams:` of a gateway.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUpstream {
    url: Option<Spanned<String>>,
    endpoints: Option<Spanned<Vec<Spanned<TextOr<RawEndpoint>>>>>,
    protocol: Option<Protocol>,
    #[serde(default, deserialize_with = "tls::present")]
    tls: Option<Spanned<RawClientTls>>,
    preserve_host: Option<bool>,
    balance: Option<Spanned<TextOr<RawShare>>>,
    resolve: Option<Time>,
    #[serde(default)]
    dns: Vec<Spanned<String>>,
    #[serde(default, deserialize_with = "tls::present")]
    health: Option<Spanned<RawHealth>>,
    max_connections: Option<Count>,
    initial_connections: Option<Length>,
    max_idle_connections: Option<Length>,
    #[serde(default)]
    elastic: bool,
    queue_timeout: Option<Time>,
    dial_timeout: Option<Time>,
    dial_backoff: Option<Spanned<RawBackoff>>,
    idle_timeout: Option<Time>,
    max_life: Option<Time>,
    keepalive: Option<RawKeepalive>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEndpoint {
    url: Spanned<String>,
    weight: Option<Spanned<Count>>,
    zone: Option<String>,
}

/// `balance:` of an upstream: a policy, or a mapping that says more.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawShare {
    policy: Option<Spanned<String>>,
    load_factor: Option<Spanned<f64>>,
    hash: Option<Spanned<RawHash>>,
    slow_start: Option<Time>,
    zone: Option<Spanned<TextOr<RawZone>>>,
    outliers: Option<Spanned<TextOr<RawOutliers>>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBackoff {
    first: Option<Time>,
    cap: Time,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKeepalive {
    interval: Option<Time>,
    timeout: Option<Time>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Protocol {
    Http1,
    H2c,
    Http2,
}

impl RawUpstream {
    pub(super) fn build(
        &self,
        place: Location,
        around: &Surroundings<'_>,
        checker: &mut Checker<'_>,
    ) -> Option<Upstream> {
        let (endpoints, location) = self.endpoints(place, checker)?;
        let mut builder = self.connections(Upstream::balanced(endpoints), checker)?;
        if let Some(protocol) = self.protocol {
            builder = builder.protocol(match protocol {
                Protocol::Http1 => UpstreamProtocol::Http1,
                Protocol::H2c => UpstreamProtocol::H2c,
                Protocol::Http2 => UpstreamProtocol::Http2,
            });
        }
        if let Some(tls) = &self.tls {
            if around.allow.is_some() {
                let message =
                    "`tls` names files, and what a gateway pushes may name none of its agents': leave it out";
                checker.wrong(tls.referenced, message);
                return None;
            }
            builder = builder.tls(tls.value.check(tls.referenced, around, checker)?);
        }
        if let Some(allow) = around.allow {
            builder = builder.allow(allow.clone());
        }
        if let Some(balance) = &self.balance {
            builder = share(balance, builder, checker)?;
        }
        if let Some(health) = &self.health {
            builder = builder.health(health.value.check(health.referenced, checker)?);
        }
        if let Some(preserve) = self.preserve_host {
            builder = builder.preserve_host(preserve);
        }
        if let Some(interval) = self.resolve {
            builder = builder.resolve_every(interval.0);
        }
        if let Some(first) = self.dns.first() {
            if around.allow.is_some() {
                let message =
                    "what a gateway pushes may not say whom its agents ask for names: leave `dns` out";
                checker.wrong(first.referenced, message);
                return None;
            }
            builder = builder.dns(dns::check(&self.dns, checker)?);
        }
        checker.take(location, builder.build())
    }

    /// The servers, and the place that names them.
    fn endpoints(
        &self,
        place: Location,
        checker: &mut Checker<'_>,
    ) -> Option<(Vec<UpstreamEndpoint>, Location)> {
        match (&self.url, &self.endpoints) {
            (Some(url), None) => Some((vec![UpstreamEndpoint::new(&url.value)], url.referenced)),
            (None, Some(list)) => {
                let endpoints = list.value.iter().map(|raw| endpoint(raw, checker)).collect();
                Some((all(endpoints)?, list.referenced))
            }
            (None, None) => {
                checker.wrong(
                    place,
                    "this says of no server: add `url: http://HOST:PORT`, or `endpoints`",
                );
                None
            }
            (Some(_), Some(list)) => {
                checker.wrong(list.referenced, "keep one of `url` and `endpoints`");
                None
            }
        }
    }

    /// What the pools do.
    fn connections(&self, builder: UpstreamBuilder, checker: &mut Checker<'_>) -> Option<UpstreamBuilder> {
        let mut builder = builder.elastic(self.elastic);
        if let Some(limit) = self.max_connections {
            builder = builder.max_connections(limit.0 as usize);
        }
        if let Some(count) = self.initial_connections {
            builder = builder.initial_connections(count.0 as usize);
        }
        if let Some(count) = self.max_idle_connections {
            builder = builder.max_idle(count.0 as usize);
        }
        if let Some(time) = self.queue_timeout {
            builder = builder.queue_timeout(time.0);
        }
        if let Some(time) = self.dial_timeout {
            builder = builder.dial_timeout(time.0);
        }
        if let Some(time) = self.idle_timeout {
            builder = builder.idle_timeout(time.0);
        }
        if let Some(time) = self.max_life {
            builder = builder.max_life(time.0);
        }
        if let Some(keepalive) = self.keepalive {
            let interval = keepalive.interval.map_or(PING_INTERVAL, |time| time.0);
            let timeout = keepalive.timeout.map_or(PING_TIMEOUT, |time| time.0);
            builder = builder.ping(Some((interval, timeout)));
        }
        if let Some(raw) = &self.dial_backoff {
            let cap = raw.value.cap.0;
            let first = raw
                .value
                .first
                .map_or(Backoff::DEFAULT.first.min(cap), |time| time.0);
            if first > cap {
                checker.wrong(raw.referenced, "`first` is more than `cap`");
                return None;
            }
            builder = builder.dial_backoff(Backoff { first, cap });
        }
        Some(builder)
    }
}

/// All of them, if all are right.
fn all<T>(found: Vec<Option<T>>) -> Option<Vec<T>> {
    found.into_iter().collect()
}

fn endpoint(raw: &Spanned<TextOr<RawEndpoint>>, checker: &mut Checker<'_>) -> Option<UpstreamEndpoint> {
    let (url, place, weight, zone) = match &raw.value {
        TextOr::Text(url) => (url, raw.referenced, None, None),
        TextOr::Map(raw) => (
            &raw.url.value,
            raw.url.referenced,
            raw.weight.as_ref(),
            raw.zone.as_deref(),
        ),
    };
    // Told at its own line; what concerns several of them is told later.
    let probe = Upstream::builder(url).build();
    checker.take(place, probe.map(drop))?;
    let mut endpoint = UpstreamEndpoint::new(url);
    if let Some(weight) = weight {
        if url.starts_with("srv+") {
            checker.wrong(
                weight.referenced,
                "SRV records say the weights: leave `weight` out",
            );
            return None;
        }
        if weight.value.0 > 1_000 {
            checker.wrong(weight.referenced, "a weight is at most 1000");
            return None;
        }
        endpoint = endpoint.weight(weight.value.0);
    }
    Some(match zone {
        Some(zone) => endpoint.zone(zone),
        None => endpoint,
    })
}

fn share(
    raw: &Spanned<TextOr<RawShare>>,
    builder: UpstreamBuilder,
    checker: &mut Checker<'_>,
) -> Option<UpstreamBuilder> {
    let mut level = Level::empty(raw.referenced);
    let share = match &raw.value {
        TextOr::Text(policy) => {
            level.policy = Some((policy, raw.referenced));
            return Some(builder.policy(balance::policy(&[level], &level, false, checker)?));
        }
        TextOr::Map(share) => share,
    };
    let policy = share.policy.as_ref();
    level.policy = policy.map(|key| (key.value.as_str(), key.referenced));
    level.load_factor = share.load_factor.as_ref();
    level.hash = share.hash.as_ref();
    let policy = balance::policy(&[level], &level, share.hash.is_some(), checker)?;
    let mut builder = builder.policy(policy);
    if let Some(hash) = &share.hash {
        builder = builder.hash_key(hash_key(hash, checker)?);
    }
    if let Some(time) = share.slow_start {
        builder = builder.slow_start(time.0);
    }
    if let Some(zone) = &share.zone {
        builder = builder.zone(balance::check_zone(zone, checker)?);
    }
    if let Some(raw) = &share.outliers {
        builder = builder.outliers(outliers::check(raw, checker)?);
    }
    Some(builder)
}

fn hash_key(raw: &Spanned<RawHash>, checker: &mut Checker<'_>) -> Option<HashKey> {
    hash::check(raw, checker)?;
    match &raw.value {
        TextOr::Text(_) => Some(HashKey::Address(ByAddress::new().into())),
        TextOr::Map(RawHashOf::Header(name)) => {
            let header = http::HeaderName::from_bytes(name.value.as_bytes());
            checker.take(name.referenced, header).map(HashKey::Header)
        }
        TextOr::Map(RawHashOf::Cookie(name)) => Some(HashKey::Cookie(name.value.as_str().into())),
        TextOr::Map(RawHashOf::Address(address)) => {
            let by = address.check(checker)?;
            Some(HashKey::Address(by.into()))
        }
    }
}
