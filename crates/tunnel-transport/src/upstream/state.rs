use std::time::Duration;

use tokio::time::Instant;
use tunnel_core::balance::Endpoint as _;

use crate::upstream::node::Member;

/// An endpoint of an upstream, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointState {
    /// What it is called: its address as it was configured, or the address that its name was found to have.
    pub name: String,
    /// Its address as it was configured. Several endpoints have the same where a name has several addresses.
    pub configured: String,
    /// Its share beside the others, from 1 to 1,000.
    pub weight: u32,
    /// Which come first: those with higher numbers get requests only while no other one can take any. 0, unless SRV records say
    /// something else.
    pub priority: u16,
    /// Where it is, if that was said.
    pub zone: Option<String>,
    /// Whether health checks have not found it out of order.
    pub is_healthy: bool,
    /// Whether it gets nothing for a while because exchanges failed there.
    pub is_ejected: bool,
    /// Whether it gets nothing for a moment because it could not be reached.
    pub is_backing_off: bool,
    /// Whether it takes nothing new because an operator said so; see [`Upstream::drain_endpoint`](crate::Upstream::drain_endpoint).
    pub is_draining: bool,
    /// The connections that are open to it, those of upgraded exchanges included, those of health checks not.
    pub connections: usize,
    /// The exchanges that it has open, each until the end of its response, or of both directions behind a 101.
    pub pending: usize,
    /// The time to the head of a response to expect (a peak EWMA, which decays in 10 s). None before the first one, and where it is the
    /// only endpoint, without health checks and look-ups.
    pub latency: Option<Duration>,
}

impl EndpointState {
    pub(super) fn of(member: &Member, configured: &str) -> Self {
        let now = Instant::now().into_std();
        Self {
            name: member.name().to_owned(),
            configured: configured.to_owned(),
            weight: member.weight(),
            priority: member.priority(),
            zone: member.zone().map(str::to_owned),
            is_healthy: member.is_healthy(),
            is_ejected: member.stats().ejected(now).is_some(),
            is_backing_off: member.is_backing_off(),
            is_draining: member.is_draining(),
            connections: member.connections(),
            pending: member.pending(),
            latency: member.stats().latency(now),
        }
    }
}
