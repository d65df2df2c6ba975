//! Whose address a request comes from.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{Extensions, HeaderMap};

use crate::peer::PeerInfo;

/// How much of an IPv6 address counts: a /64 is what one subscriber has at least, so single addresses are free to whoever has
/// any.
pub const DEFAULT_IPV6_PREFIX: u8 = 64;

/// The address of whoever calls: that of the connection's other end, or what proxies in front of us saw. All that counts or chooses by
/// addresses asks here.
///
/// The request must be [admitted](crate::admit): admission has dropped `X-Forwarded-For` unless its policy trusts the socket's other
/// end, so a caller that goes around the proxies has its own address, whatever it claims.
///
/// ```
/// use http::{Extensions, HeaderMap, HeaderValue};
/// use tunnel_core::{ClientAddress, PeerInfo};
///
/// let mut headers = HeaderMap::new();
/// headers.insert("x-forwarded-for", HeaderValue::from_static("192.0.2.1, 10.0.0.9"));
/// let mut extensions = Extensions::new();
/// extensions.insert(PeerInfo::plaintext("10.0.0.9:1234".parse().unwrap()));
/// let behind = |proxies| ClientAddress::new().behind_proxies(proxies).find(&headers, &extensions).unwrap().to_string();
/// assert_eq!(behind(0), "10.0.0.9");
/// assert_eq!(behind(1), "192.0.2.1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress {
    ipv6_prefix: u8,
    proxies: usize,
}

impl ClientAddress {
    /// The socket's other end, and of IPv6 its first [64 bits](DEFAULT_IPV6_PREFIX).
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

    /// What the outermost of so many proxies in front of us saw, as they say in `X-Forwarded-For`.
    #[must_use]
    pub const fn behind_proxies(mut self, proxies: usize) -> Self {
        self.proxies = proxies;
        self
    }

    /// The address; `None` if nobody has said who the other end is.
    #[must_use]
    pub fn find(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let peer = extensions.get::<PeerInfo>()?.addr?.ip();
        if self.proxies == 0 {
            return Some(peer);
        }
        Some(forwarded(headers, self.proxies).unwrap_or(peer))
    }

    /// The same where somebody else has taken the request from its sender, such as a gateway for an agent, and has written the other end
    /// of its socket into `X-Forwarded-For`: what stands there is believed if there is no [`PeerInfo`].
    #[must_use]
    pub fn find_behind(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let found = self.find(headers, extensions);
        found.or_else(|| forwarded(headers, self.proxies))
    }

    /// What counts of an address.
    #[must_use]
    pub fn counted(&self, address: IpAddr) -> IpAddr {
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

impl Default for ClientAddress {
    fn default() -> Self {
        Self::new()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_a_gateway_its_word_stands_for_the_socket() {
        let mut headers = HeaderMap::new();
        let find = |headers: &HeaderMap, proxies| {
            let by = ClientAddress::new().behind_proxies(proxies);
            let found = by.find_behind(headers, &Extensions::new());
            assert_eq!(by.find(headers, &Extensions::new()), None);
            found.map(|address| address.to_string())
        };
        assert_eq!(find(&headers, 0), None);
        headers.append("x-forwarded-for", "192.0.2.1".parse().unwrap());
        headers.append("x-forwarded-for", "192.0.2.2:80, 10.0.0.9".parse().unwrap());
        for (proxies, expected) in [
            (0, "10.0.0.9"),
            (1, "192.0.2.2"),
            (2, "192.0.2.1"),
            (9, "192.0.2.1"),
        ] {
            assert_eq!(find(&headers, proxies).as_deref(), Some(expected));
        }
    }
}
