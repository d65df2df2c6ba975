use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{Extensions, HeaderMap, request::Parts};
use tunnel_core::PeerInfo;

use super::{Key, KeyExtractor, Space};

/// How much of an IPv6 address counts: a /64 is what one subscriber has at least, so single addresses are free to whoever has
/// any.
pub const DEFAULT_IPV6_PREFIX: u8 = 64;

/// Counts by the address of the connection's other end: the whole of an IPv4 address, and a prefix of an IPv6 address.
///
/// The address is that of [`PeerInfo`], which is never read from a header; with the feature `axum` that of `ConnectInfo`,
/// where there is no `PeerInfo`.
#[derive(Clone, Copy, Debug)]
pub struct ByAddress {
    ipv6_prefix: u8,
    proxies: usize,
}

impl ByAddress {
    /// By the socket's other end, and for IPv6 by its first [64 bits](DEFAULT_IPV6_PREFIX).
    #[must_use]
    pub const fn new() -> Self {
        Self {
            ipv6_prefix: DEFAULT_IPV6_PREFIX,
            proxies: 0,
        }
    }

    /// How many bits of an IPv6 address count; 128 at most. IPv4 addresses in the form of IPv6 count as IPv4.
    #[must_use]
    pub const fn ipv6_prefix(mut self, bits: u8) -> Self {
        self.ipv6_prefix = if bits > 128 { 128 } else { bits };
        self
    }

    /// By what the outermost of so many proxies in front of us saw, as they say in `X-Forwarded-For`.
    ///
    /// [Admission](tunnel_core::admit) has dropped that field unless its policy trusts the socket's other end, so a caller
    /// that goes around the proxies is counted by its own address, whatever it claims.
    #[must_use]
    pub const fn behind_proxies(mut self, proxies: usize) -> Self {
        self.proxies = proxies;
        self
    }

    pub(super) fn address(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let peer = extensions.get::<PeerInfo>()?.addr?.ip();
        if self.proxies == 0 {
            return Some(peer);
        }
        Some(forwarded(headers, self.proxies).unwrap_or(peer))
    }

    /// What counts of the address of a request with this head.
    pub(super) fn counted(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        self.address(headers, extensions)
            .map(|address| self.prefix(address))
    }

    /// The part that counts.
    fn prefix(&self, address: IpAddr) -> IpAddr {
        match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                let mask = u128::MAX
                    .checked_shl(128 - u32::from(self.ipv6_prefix))
                    .unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        }
    }
}

impl Default for ByAddress {
    fn default() -> Self {
        Self::new()
    }
}

impl KeyExtractor for ByAddress {
    fn key(&self, parts: &Parts) -> Option<Key> {
        let address = self.counted(&parts.headers, &parts.extensions);
        Some(Key::of(&(Space::Address, address)))
    }
}

/// The element that many places before the last, which is the socket's other end; the first if there are fewer.
fn forwarded(headers: &HeaderMap, proxies: usize) -> Option<IpAddr> {
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    let elements = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
    let text = elements.take(proxies.saturating_add(1)).last()?.trim();
    let with_port = || text.parse().map(|address: SocketAddr| address.ip());
    text.parse().or_else(|_| with_port()).ok()
}
