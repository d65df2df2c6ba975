//! The limits of a gateway.

use serde::Deserialize;
use serde_saphyr::Spanned;
use tunnel_core::admit::{DEFAULT_MAX_FIELDS, DEFAULT_MAX_HEAD_BYTES, IpPrefix, Policy};
use tunnel_transport::{
    entry::{DEFAULT_WAITING_RESETS, DEFAULT_WRONG_RESETS, Entry},
    gateway::{GatewayBuilder, ServeAgents},
    net::windows::{PING_INTERVAL, PING_TIMEOUT},
};

use super::{
    error::Checker,
    units::{Count, Size, Time},
};

/// A head must fit into a message of the tunnel with what the gateway adds to it.
const HEAD_BYTES: std::ops::RangeInclusive<u32> = 1024..=56 * 1024;

/// Agents take 200 fields; rules and the gateway add some.
const HEAD_FIELDS: std::ops::RangeInclusive<u32> = 10..=180;

/// Everything that has a default.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    max_connections: Option<Count>,
    max_streams: Option<Count>,
    max_agents: Option<Count>,
    credit: Option<Size>,
    head_bytes: Option<Spanned<Size>>,
    head_fields: Option<Spanned<Count>>,
    uri_bytes: Option<Size>,
    max_hops: Option<Count>,
    first_bytes_timeout: Option<Time>,
    head_timeout: Option<Time>,
    max_connections_per_address: Option<Count>,
    max_agent_connections: Option<Count>,
    max_agent_connections_per_address: Option<Count>,
    #[serde(default)]
    exempt_addresses: Vec<Spanned<String>>,
    preface_timeout: Option<Time>,
    body_idle_timeout: Option<Time>,
    send_timeout: Option<Time>,
    idle_timeout: Option<Time>,
    ping_interval: Option<Time>,
    ping_timeout: Option<Time>,
    max_waiting_resets: Option<Count>,
    max_wrong_resets: Option<Count>,
}

/// What both ports take from a client.
#[derive(Clone, Debug, Default)]
pub struct PortLimits {
    first_bytes_timeout: Option<Time>,
    head_timeout: Option<Time>,
    preface_timeout: Option<Time>,
    body_idle_timeout: Option<Time>,
    send_timeout: Option<Time>,
    idle_timeout: Option<Time>,
    ping_interval: Option<Time>,
    ping_timeout: Option<Time>,
    resets: (Option<Count>, Option<Count>),
    connections: Option<Count>,
    connections_per_address: Option<Count>,
    exempt: Vec<IpPrefix>,
}

impl PortLimits {
    /// The same port for agents, with these limits.
    pub fn agents<L>(self, serve: ServeAgents<L>) -> ServeAgents<L> {
        serve.limits(|entry| self.entry(entry))
    }

    fn entry(self, mut entry: Entry) -> Entry {
        if let Some(limit) = self.connections {
            entry = entry.max_connections(limit.0 as usize);
        }
        if let Some(limit) = self.connections_per_address {
            entry = entry.max_connections_per_address(limit.0 as usize);
        }
        if let Some(timeout) = self.first_bytes_timeout {
            entry = entry.first_bytes_timeout(timeout.0);
        }
        if let Some(timeout) = self.head_timeout {
            entry = entry.head_timeout(timeout.0);
        }
        if let Some(timeout) = self.preface_timeout {
            entry = entry.preface_timeout(timeout.0);
        }
        if let Some(timeout) = self.body_idle_timeout {
            entry = entry.body_idle_timeout(Some(timeout.0));
        }
        if let Some(timeout) = self.send_timeout {
            entry = entry.send_timeout(Some(timeout.0));
        }
        if let Some(timeout) = self.idle_timeout {
            entry = entry.idle_timeout(Some(timeout.0));
        }
        let interval = self.ping_interval.map_or(PING_INTERVAL, |time| time.0);
        entry = entry.ping(interval, self.ping_timeout.map_or(PING_TIMEOUT, |time| time.0));
        let or = |count: Option<Count>, default| count.map_or(default, |count| count.0 as usize);
        let (waiting, wrong) = self.resets;
        entry
            .reset_limits(
                or(waiting, DEFAULT_WAITING_RESETS),
                or(wrong, DEFAULT_WRONG_RESETS),
            )
            .exempt_addresses(self.exempt)
    }
}

impl Limits {
    pub(super) fn apply(
        &self,
        mut entry: Entry,
        mut policy: Policy,
        checker: &mut Checker<'_>,
    ) -> (Entry, Policy) {
        for prefix in &self.exempt_addresses {
            checker.take(prefix.referenced, prefix.value.parse::<IpPrefix>());
        }
        let port = PortLimits {
            connections: self.max_connections,
            connections_per_address: self.max_connections_per_address,
            ..self.port()
        };
        entry = port.entry(entry);
        if let Some(limit) = self.max_streams {
            entry = entry.max_concurrent_streams(limit.0);
        }
        if let Some(limit) = self.uri_bytes {
            policy = policy.max_uri_bytes(limit.0 as usize);
        }
        if let Some(limit) = self.max_hops {
            policy = policy.max_hops(limit.0);
        }
        let (bytes, fields) = self.head(checker);
        (
            entry.head_limit(bytes, fields as usize),
            policy.max_head_bytes(bytes as usize).max_fields(fields as usize),
        )
    }

    /// The first key that an agent's file cannot have, if there is one.
    pub(super) fn of_gateways(&self) -> Option<&'static str> {
        let keys = [
            ("max_agents", self.max_agents.is_some()),
            ("credit", self.credit.is_some()),
            ("max_agent_connections", self.max_agent_connections.is_some()),
            (
                "max_agent_connections_per_address",
                self.max_agent_connections_per_address.is_some(),
            ),
        ];
        keys.into_iter()
            .find(|(_, is_there)| *is_there)
            .map(|(key, _)| key)
    }

    /// The limits of the port for agents.
    pub(super) fn agents(&self) -> PortLimits {
        PortLimits {
            connections: self.max_agent_connections,
            connections_per_address: self.max_agent_connections_per_address,
            ..self.port()
        }
    }

    /// What holds for both ports.
    fn port(&self) -> PortLimits {
        let exempt = self.exempt_addresses.iter();
        PortLimits {
            first_bytes_timeout: self.first_bytes_timeout,
            head_timeout: self.head_timeout,
            preface_timeout: self.preface_timeout,
            body_idle_timeout: self.body_idle_timeout,
            send_timeout: self.send_timeout,
            idle_timeout: self.idle_timeout,
            ping_interval: self.ping_interval,
            ping_timeout: self.ping_timeout,
            resets: (self.max_waiting_resets, self.max_wrong_resets),
            // Those that are wrong have been told.
            exempt: exempt.filter_map(|prefix| prefix.value.parse().ok()).collect(),
            ..PortLimits::default()
        }
    }

    pub(super) fn apply_to_gateway(&self, mut gateway: GatewayBuilder) -> GatewayBuilder {
        if let Some(limit) = self.max_agents {
            gateway = gateway.max_sessions(limit.0 as usize);
        }
        if let Some(bytes) = self.credit {
            gateway = gateway.credit_budget(bytes.0 as usize);
        }
        gateway
    }

    fn head(&self, checker: &mut Checker<'_>) -> (u32, u32) {
        let mut limits = (DEFAULT_MAX_HEAD_BYTES as u32, DEFAULT_MAX_FIELDS as u32);
        if let Some(size) = &self.head_bytes {
            limits.0 = size.value.0;
            if !HEAD_BYTES.contains(&limits.0) {
                checker.wrong(size.referenced, "the head's size must be 1KiB to 56KiB");
            }
        }
        if let Some(count) = &self.head_fields {
            limits.1 = count.value.0;
            if !HEAD_FIELDS.contains(&limits.1) {
                checker.wrong(count.referenced, "the head's number of fields must be 10 to 180");
            }
        }
        limits
    }
}
