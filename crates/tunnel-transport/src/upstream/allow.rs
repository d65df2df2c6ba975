//! What may be reached, whatever somebody else's rules say.

use std::{
    net::SocketAddr,
    ops::RangeInclusive,
    path::{Component, Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use tunnel_core::admit::IpPrefix;

use super::{
    InvalidUpstream,
    target::{Address, Target},
};
use crate::host_name::host_name;

/// The upstream addresses that may be dialled; for upstreams that somebody else names. An empty list allows none.
///
/// An entry is a name (`app.internal`), all names below one (`*.internal`), an address or a prefix (`10.0.0.0/8`, `::1`), each with
/// a port or a range of ports if it is not for all of them (`app.internal:8080`, `10.0.0.0/8:8000-8999`, `[2001:db8::/32]:443`), or
/// a socket in the file system (`unix:/run/app.sock`) or all of them below a directory (`unix:/run/apps/*`).
///
/// It is asked when an upstream is built, and again about each address that is dialled: a name that stands in the list may have any
/// address, any other name only those that lie in the prefixes of the list.
///
/// ```
/// use tunnel_transport::upstream::{AllowList, Upstream, UpstreamEndpoint};
///
/// let list = AllowList::parse(["10.0.0.0/8", "app.internal:8080"])?;
/// let to = |uri: &str| Upstream::builder(uri).allow(list.clone()).build();
/// assert!(to("http://10.1.2.3:3000").is_ok());
/// assert!(to("http://app.internal:8080").is_ok());
/// let error = to("http://169.254.169.254").unwrap_err();
/// assert!(error.to_string().contains("not allowed"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList(Arc<[AllowedUpstream]>);

/// One entry of an [`AllowList`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedUpstream(Entry);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Name {
        name: Box<str>,
        /// Whether it stands for the names below it, and not for itself.
        is_parent: bool,
        ports: RangeInclusive<u16>,
    },
    Net(IpPrefix, RangeInclusive<u16>),
    Unix {
        path: PathBuf,
        is_directory: bool,
    },
}

/// A text that is no [`AllowedUpstream`]; it says what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidAllowed(String);

impl AllowList {
    /// A list of these entries.
    ///
    /// # Errors
    ///
    /// One of them is none.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidAllowed> {
        entries.into_iter().map(str::parse).collect()
    }

    /// Whether an upstream may be there, as far as that can be said before its name is looked up.
    pub(super) fn check(&self, target: &Target) -> Result<(), InvalidUpstream> {
        let (is_allowed, what) = match &target.address {
            Address::Socket(address) => (self.permits(&target.host, *address), address.to_string()),
            Address::Name(host, port) => {
                let is_allowed = self.has_name(host, *port) || self.has_nets(*port);
                (is_allowed, format!("{host}:{port}"))
            }
            // The records say the ports.
            Address::Srv(name) => (self.may_have(&target.host), name.to_string()),
            #[cfg(unix)]
            Address::Unix(path) => (self.permits_path(path), format!("unix:{}", path.display())),
        };
        match is_allowed {
            true => Ok(()),
            false => Err(InvalidUpstream(format!(
                "the upstream {what} is not allowed here: no entry of the list of allowed upstreams has it"
            ))),
        }
    }

    /// Whether this address, which `host` has, may be dialled.
    pub(super) fn permits(&self, host: &str, address: SocketAddr) -> bool {
        let in_nets = self.0.iter().any(|entry| match &entry.0 {
            Entry::Net(net, ports) => ports.contains(&address.port()) && net.contains(address.ip()),
            Entry::Name { .. } | Entry::Unix { .. } => false,
        });
        in_nets || self.has_name(host, address.port())
    }

    fn has_name(&self, host: &str, port: u16) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        self.0.iter().any(|entry| match &entry.0 {
            Entry::Name {
                name,
                is_parent,
                ports,
            } => {
                let is_it = match is_parent {
                    false => host.eq_ignore_ascii_case(name),
                    true => is_below(host, name),
                };
                is_it && ports.contains(&port)
            }
            Entry::Net(..) | Entry::Unix { .. } => false,
        })
    }

    fn has_nets(&self, port: u16) -> bool {
        let is_for_port =
            |entry: &AllowedUpstream| matches!(&entry.0, Entry::Net(_, ports) if ports.contains(&port));
        self.0.iter().any(is_for_port)
    }

    /// Whether some port of the host may be dialled, as far as its name says.
    fn may_have(&self, host: &str) -> bool {
        self.0.iter().any(|entry| match &entry.0 {
            Entry::Net(..) => true,
            Entry::Name { ports, .. } => self.has_name(host, *ports.start()),
            Entry::Unix { .. } => false,
        })
    }

    #[cfg(unix)]
    fn permits_path(&self, asked: &Path) -> bool {
        is_plain(asked)
            && self.0.iter().any(|entry| match &entry.0 {
                Entry::Unix { path, is_directory } => match is_directory {
                    true => asked != path && asked.starts_with(path),
                    false => asked == path,
                },
                Entry::Name { .. } | Entry::Net(..) => false,
            })
    }
}

fn is_below(host: &str, parent: &str) -> bool {
    let Some(end) = host.len().checked_sub(parent.len()).filter(|end| *end > 1) else {
        return false;
    };
    let (host, parent) = (host.as_bytes(), parent.as_bytes());
    host[end - 1] == b'.' && host[end..].eq_ignore_ascii_case(parent)
}

/// Whether a path is absolute and goes nowhere back.
fn is_plain(path: &Path) -> bool {
    path.is_absolute()
        && path
            .components()
            .all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
}

impl FromIterator<AllowedUpstream> for AllowList {
    fn from_iter<I: IntoIterator<Item = AllowedUpstream>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl FromStr for AllowedUpstream {
    type Err = InvalidAllowed;

    fn from_str(text: &str) -> Result<Self, InvalidAllowed> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix(path);
        }
        let wrong = || {
            InvalidAllowed(format!(
                "`{text}` is no upstream that can be allowed: write a host, `*.` and a domain, or a prefix, with a port if it is not for all \
                 of them, such as app.internal:8080, *.internal, 10.0.0.0/8:8000-8999 or [2001:db8::/32]:443; or unix: and a path"
            ))
        };
        let (host, ports) = split(text).ok_or_else(wrong)?;
        let ports = ports.map_or(Some(0..=u16::MAX), range).ok_or_else(wrong)?;
        match host.parse::<IpPrefix>() {
            Ok(net) => return Ok(Self(Entry::Net(net, ports))),
            Err(error) if host.contains('/') && !host.contains("//") => {
                return Err(InvalidAllowed(error.to_string()));
            }
            Err(_) => {}
        }
        let (name, is_parent) = match host.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (host, false),
        };
        let name = host_name(name.strip_suffix('.').unwrap_or(name)).ok_or_else(wrong)?;
        Ok(Self(Entry::Name {
            name: name.into(),
            is_parent,
            ports,
        }))
    }
}

/// The host, without the brackets of IPv6, and the ports.
fn split(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return match rest {
            "" => Some((host, None)),
            rest => rest.strip_prefix(':').map(|ports| (host, Some(ports))),
        };
    }
    Some(match text.split_once(':') {
        Some((host, ports)) if !ports.contains(':') => (host, Some(ports)),
        _ => (text, None),
    })
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (0 < first && first <= last).then_some(first..=last)
}

fn unix(text: &str) -> Result<AllowedUpstream, InvalidAllowed> {
    let (path, is_directory) = match text.strip_suffix("/*") {
        Some("") => ("/", true),
        Some(path) => (path, true),
        None => (text, false),
    };
    let path = PathBuf::from(path);
    if !is_plain(&path) {
        return Err(InvalidAllowed(format!(
            "`unix:{text}` has no plain absolute path: write one such as unix:/run/app.sock or unix:/run/apps/*"
        )));
    }
    Ok(AllowedUpstream(Entry::Unix { path, is_directory }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> AllowList {
        AllowList::parse(entries.iter().copied()).unwrap()
    }

    fn may(list: &AllowList, uri: &str) -> bool {
        list.check(&Target::parse(uri).unwrap()).is_ok()
    }

    #[test]
    fn what_stands_in_the_list_may_be_built() {
        let list = list(&[
            "app.internal",
            "*.apps.example:8080",
            "10.0.0.0/8:8000-8999",
            "[2001:db8::/32]:443",
            "::1",
            "unix:/run/app.sock",
            "unix:/run/apps/*",
        ]);
        for uri in [
            "http://app.internal",
            "http://APP.internal.:9",
            "http://a.apps.example:8080",
            "http://a.b.Apps.example:8080",
            "http://10.1.2.3:8000",
            "http://[2001:db8::5]:443",
            "http://[::1]:7",
            "unix:/run/app.sock",
            "unix:/run/apps/a/b.sock",
            // What it is will be seen when it is dialled.
            "http://unknown.example:8080",
        ] {
            assert!(may(&list, uri), "{uri}");
        }
        for uri in [
            "http://10.1.2.3:9000",
            "http://10.1.2.3",
            "http://11.1.2.3:8000",
            "http://[::ffff:11.1.2.3]:8000",
            "http://[2001:db9::5]:443",
            "http://127.0.0.1:7",
            "unix:/run/app.sock2",
            "unix:/run/apps",
            "unix:/run/apps/../app2.sock",
            "unix:/etc/passwd",
        ] {
            assert!(!may(&list, uri), "{uri}");
        }
        assert!(may(&list, "http://[::ffff:10.1.2.3]:8000"), "the same host");
    }

    #[test]
    fn names_alone_allow_no_other_names() {
        let list = list(&["app.internal:80", "*.apps.example"]);
        for uri in [
            "http://app.internal:81",
            "http://xapp.internal",
            "http://app.internal.evil.example",
            "http://apps.example",
            "http://.apps.example",
            "http://evilapps.example",
            "http://127.0.0.1",
        ] {
            assert!(!may(&list, uri), "{uri}");
        }
        assert!(!may(&AllowList::default(), "http://app.internal"));
    }

    #[test]
    fn what_is_dialled_is_looked_at_again() {
        let list = list(&["app.internal", "10.0.0.0/8"]);
        let permits = |host: &str, address: &str| list.permits(host, address.parse().unwrap());
        assert!(permits("app.internal", "192.0.2.1:80"), "its name is trusted");
        assert!(permits("other.example", "10.0.0.1:80"));
        assert!(!permits("other.example", "169.254.169.254:80"));
        assert!(!permits("other.example", "[::1]:80"));
        assert!(permits("other.example", "[::ffff:10.0.0.1]:80"));
    }

    #[test]
    fn wrong_entries_say_what_to_write() {
        for (text, hint) in [
            ("", "app.internal:8080"),
            ("a b", "app.internal:8080"),
            ("app:0", "app.internal:8080"),
            ("app:9-8", "app.internal:8080"),
            ("app:x", "app.internal:8080"),
            ("http://app", "app.internal:8080"),
            ("*", "app.internal:8080"),
            ("10.0.0.1/8", "10.0.0.0/8"),
            ("10.0.0.0/33", "from 0 to 32"),
            ("[::1", "app.internal:8080"),
            ("unix:run/a", "unix:/run/app.sock"),
            ("unix:/run/../a", "unix:/run/app.sock"),
        ] {
            let error = text.parse::<AllowedUpstream>().unwrap_err().to_string();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
