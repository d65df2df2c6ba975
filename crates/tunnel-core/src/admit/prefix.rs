//! A range of IP addresses.

use std::{fmt, net::IpAddr, str::FromStr};

/// A range of IP addresses, written as an address (`192.0.2.1`) or as a prefix with its length in bits (`192.0.2.0/24`,
/// `2001:db8::/32`).
///
/// ```
/// use tunnel_core::admit::IpPrefix;
///
/// let prefix: IpPrefix = "192.0.2.0/24".parse()?;
/// assert!(prefix.contains("192.0.2.7".parse()?));
/// assert!(!prefix.contains("192.0.3.7".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IpPrefix {
    addr: IpAddr,
    bits: u8,
}

/// A text that is no [`IpPrefix`]; it says what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseIpPrefixError(String);

impl IpPrefix {
    /// Whether `addr` lies in this range. An IPv4 address that stands in an IPv6 one (`::ffff:192.0.2.1`, as sockets for both
    /// families report it) counts as the IPv4 address.
    #[must_use]
    pub fn contains(&self, addr: IpAddr) -> bool {
        match (self.addr, addr.to_canonical()) {
            (IpAddr::V4(prefix), IpAddr::V4(addr)) => masked_v4(addr.into(), self.bits) == u32::from(prefix),
            (IpAddr::V6(prefix), IpAddr::V6(addr)) => masked_v6(addr.into(), self.bits) == u128::from(prefix),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

fn masked_v4(addr: u32, bits: u8) -> u32 {
    addr & u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0)
}

fn masked_v6(addr: u128, bits: u8) -> u128 {
    addr & u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)
}

impl FromStr for IpPrefix {
    type Err = ParseIpPrefixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (addr, bits) = match text.split_once('/') {
            Some((addr, bits)) => (addr, Some(bits)),
            None => (text, None),
        };
        let Ok(addr) = addr.parse::<IpAddr>() else {
            let reason =
                format!("`{text}` is no IP prefix: write `192.0.2.0/24`, `2001:db8::/32` or one address");
            return Err(ParseIpPrefixError(reason));
        };
        let max = if addr.is_ipv4() { 32 } else { 128 };
        let bits = match bits.map(str::parse::<u8>) {
            None => max,
            Some(Ok(bits)) if bits <= max => bits,
            Some(_) => {
                let reason = format!("the length of `{text}` is not a number from 0 to {max}");
                return Err(ParseIpPrefixError(reason));
            }
        };
        let network = match addr {
            IpAddr::V4(addr) => IpAddr::V4(masked_v4(addr.into(), bits).into()),
            IpAddr::V6(addr) => IpAddr::V6(masked_v6(addr.into(), bits).into()),
        };
        if network != addr {
            let reason = format!("`{text}` has bits set behind its prefix: write `{network}/{bits}`");
            return Err(ParseIpPrefixError(reason));
        }
        if network.to_canonical() != network {
            let reason = format!("`{text}` is an IPv4 address in an IPv6 one: write it as IPv4");
            return Err(ParseIpPrefixError(reason));
        }
        Ok(Self { addr, bits })
    }
}

impl From<IpAddr> for IpPrefix {
    /// The range of this one address.
    fn from(addr: IpAddr) -> Self {
        let addr = addr.to_canonical();
        let bits = if addr.is_ipv4() { 32 } else { 128 };
        Self { addr, bits }
    }
}

impl fmt::Display for IpPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contains() {
        for (prefix, addr, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("10.0.0.0/8", "::10.1.2.3", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db9::1", true),
            ("::1", "::1", true),
        ] {
            let found = prefix
                .parse::<IpPrefix>()
                .unwrap()
                .contains(addr.parse().unwrap());
            assert_eq!(found, expected, "{addr} in {prefix}");
        }
    }

    #[test]
    fn a_wrong_text_says_what_would_be_right() {
        for (text, hint) in [
            ("", "192.0.2.0/24"),
            ("localhost", "192.0.2.0/24"),
            ("10.0.0.0/33", "0 to 32"),
            ("::/129", "0 to 128"),
            ("10.0.0.0/", "0 to 32"),
            ("10.0.0.0/8/8", "0 to 32"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("::ffff:10.0.0.0/104", "write it as IPv4"),
        ] {
            let error = text.parse::<IpPrefix>().unwrap_err().to_string();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn displays_as_it_is_written() {
        for text in ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"] {
            assert_eq!(text.parse::<IpPrefix>().unwrap().to_string(), text);
        }
        let one = IpPrefix::from("::ffff:192.0.2.1".parse::<IpAddr>().unwrap());
        assert_eq!(one.to_string(), "192.0.2.1/32");
    }
}
