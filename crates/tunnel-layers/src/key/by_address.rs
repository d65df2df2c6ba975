use std::net::IpAddr;

use http::{Extensions, HeaderMap};
use tunnel_core::ClientAddress;
pub use tunnel_core::client_address::DEFAULT_IPV6_PREFIX;

use super::{Head, Key, KeyExtractor, Space};

/// Counts by the address of the connection's other end: the whole of an IPv4 address, and a prefix of an IPv6 address.
///
/// The address is that of [`PeerInfo`](tunnel_core::PeerInfo), which is never read from a header; with the feature `axum` that of
/// `ConnectInfo`, where there is no `PeerInfo`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByAddress(ClientAddress);

impl ByAddress {
    /// By the socket's other end, and for IPv6 by its first [64 bits](DEFAULT_IPV6_PREFIX).
    #[must_use]
    pub const fn new() -> Self {
        Self(ClientAddress::new())
    }

    /// How many bits of an IPv6 address count; 128 at most. IPv4 addresses in the form of IPv6 count as IPv4.
    #[must_use]
    pub const fn ipv6_prefix(self, bits: u8) -> Self {
        Self(self.0.ipv6_prefix(bits))
    }

    /// By what the outermost of so many proxies in front of us saw, as they say in `X-Forwarded-For`.
    ///
    /// [Admission](tunnel_core::admit) has dropped that field unless its policy trusts the socket's other end, so a caller
    /// that goes around the proxies is counted by its own address, whatever it claims.
    #[must_use]
    pub const fn behind_proxies(self, proxies: usize) -> Self {
        Self(self.0.behind_proxies(proxies))
    }

    /// What counts of the address of a request with this head.
    pub(super) fn counted(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let address = self.0.find(headers, extensions)?;
        Some(self.0.counted(address))
    }
}

impl From<ByAddress> for ClientAddress {
    fn from(by: ByAddress) -> Self {
        by.0
    }
}

impl KeyExtractor for ByAddress {
    fn key(&self, head: &Head<'_>) -> Option<Key> {
        let address = self.counted(head.headers, head.extensions);
        Some(Key::of(&(Space::Address, address)))
    }
}
