//! The limits of a gateway.

use serde::Deserialize;
use serde_saphyr::Spanned;
use tunnel_core::admit::{DEFAULT_MAX_FIELDS, DEFAULT_MAX_HEAD_BYTES, Policy};
use tunnel_transport::{entry::Entry, gateway::GatewayBuilder};

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
    first_bytes_timeout: Option<Time>,
    head_timeout: Option<Time>,
}

impl Limits {
    pub(super) fn apply(
        &self,
        mut entry: Entry,
        mut policy: Policy,
        checker: &mut Checker<'_>,
    ) -> (Entry, Policy) {
        if let Some(limit) = self.max_connections {
            entry = entry.max_connections(limit.0 as usize);
        }
        if let Some(limit) = self.max_streams {
            entry = entry.max_concurrent_streams(limit.0);
        }
        if let Some(timeout) = self.first_bytes_timeout {
            entry = entry.first_bytes_timeout(timeout.0);
        }
        if let Some(timeout) = self.head_timeout {
            entry = entry.head_timeout(timeout.0);
        }
        if let Some(limit) = self.uri_bytes {
            policy = policy.max_uri_bytes(limit.0 as usize);
        }
        let (bytes, fields) = self.head(checker);
        (
            entry.head_limit(bytes, fields as usize),
            policy.max_head_bytes(bytes as usize).max_fields(fields as usize),
        )
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
