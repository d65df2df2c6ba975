//! Names that stand for servers: SRV records (RFC 2782).

mod dns;
#[cfg(feature = "srv")]
mod look_up;
mod order;

use std::{net::SocketAddr, time::Duration};

use http::Uri;

pub use self::dns::Dns;
pub(crate) use self::order::{by_priority, shares};

/// What an address begins with that is a name of SRV records; the scheme follows it.
pub(crate) const PREFIX: &str = "srv+";

/// What the records of a name said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// In no order.
    pub(crate) servers: Vec<Server>,
    /// How long that is right.
    pub(crate) ttl: Duration,
}

/// One address of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Lower ones come first.
    pub(crate) priority: u16,
    /// Its share among those with the same priority.
    pub(crate) weight: u16,
}

/// The name whose records are asked for, and the domain whose servers they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SrvName {
    pub(crate) name: Box<str>,
    /// The name without `_service._proto.` before it: what a certificate is for, and what the servers are called in requests. Not what
    /// the records say, because whoever forges an answer writes there what he likes (RFC 9525, section 6.1).
    pub(crate) domain: Box<str>,
}

impl SrvName {
    /// Takes `srv+` off an address; gives the name in the rest, and the address of the domain. None if the address has no `srv+`.
    ///
    /// # Errors
    ///
    /// What is wrong with it, as the end of a sentence.
    pub(crate) fn split(text: &str) -> Result<Option<(Self, String)>, &'static str> {
        let Some(rest) = text.strip_prefix(PREFIX) else {
            return Ok(None);
        };
        if cfg!(not(feature = "srv")) {
            return Err("asks for SRV records, for which this program was not built");
        }
        let uri: Uri = rest.parse().map_err(|_| "is no URI")?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err("has no scheme behind `srv+`: write srv+http:// or srv+https://");
        };
        let name = authority.as_str();
        if authority.host() != name {
            return Err("has a port, which SRV records say themselves");
        }
        let mut domain = name;
        while let Some((label, rest)) = domain.split_once('.')
            && label.starts_with('_')
        {
            domain = rest;
        }
        if domain.is_empty() || domain.starts_with(['_', '[']) || domain.parse::<std::net::IpAddr>().is_ok() {
            return Err("names no domain: write one such as srv+https://_tunnel._tcp.example.com");
        }
        let path = uri.path_and_query().map_or("", |path| path.as_str());
        let shown = domain.strip_suffix('.').unwrap_or(domain);
        let of_domain = format!("{scheme}://{shown}{path}");
        let names = Self {
            name: name.into(),
            domain: shown.into(),
        };
        Ok(Some((names, of_domain)))
    }
}

#[cfg(all(test, feature = "srv"))]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_of_a_domain() {
        for (text, name, rest) in [
            (
                "srv+http://_web._tcp.example.com",
                "_web._tcp.example.com",
                "http://example.com/",
            ),
            (
                "srv+https://_tunnel._tcp.example.com./",
                "_tunnel._tcp.example.com.",
                "https://example.com/",
            ),
            (
                "srv+http://web.service.consul",
                "web.service.consul",
                "http://web.service.consul/",
            ),
        ] {
            let (names, of_domain) = SrvName::split(text).unwrap().unwrap();
            assert_eq!((&*names.name, of_domain.as_str()), (name, rest));
            assert!(rest.contains(&*names.domain));
        }
        assert_eq!(SrvName::split("http://_web._tcp.example.com"), Ok(None));
    }

    #[test]
    fn what_names_no_domain_is_refused() {
        for (text, hint) in [
            ("srv+http://_web._tcp.example.com:80", "a port"),
            ("srv+http://_web._tcp", "no domain"),
            ("srv+http://10.0.0.1", "no domain"),
            ("srv+http://[::1]", "no domain"),
            ("srv+_web._tcp.example.com", "no scheme"),
            ("srv+http://", "no URI"),
        ] {
            let error = SrvName::split(text).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
