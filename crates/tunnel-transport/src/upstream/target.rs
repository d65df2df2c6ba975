use std::{fmt, net::SocketAddr, sync::Arc};

use http::{
    HeaderValue, Uri,
    uri::{Authority, Scheme},
};

use crate::srv::SrvName;

/// What the address of a socket in the file system begins with.
const UNIX: &str = "unix:";

/// The port of `http` (RFC 9110, section 4.2.1).
const HTTP_PORT: u16 = 80;

/// The port of `https` (RFC 9110, section 4.2.2).
const HTTPS_PORT: u16 = 443;

/// An upstream's address that cannot be used; the text says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidUpstream(pub(super) String);

/// Where an upstream is.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// What is dialled.
    pub(super) address: Address,
    pub(super) authority: Authority,
    /// The same, as the `host` field.
    pub(super) field: HeaderValue,
    /// A name or an address, without the brackets of IPv6.
    pub(super) host: String,
    pub(super) is_tls: bool,
}

/// What is dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// Every address that this name has by then, one after the other.
    Name(Arc<str>, u16),
    /// This one.
    Socket(SocketAddr),
    /// Nothing, but what the SRV records of this name say.
    Srv(Arc<str>),
    /// A socket in the file system.
    #[cfg(unix)]
    Unix(Arc<std::path::Path>),
}

impl Target {
    pub(super) fn parse(text: &str) -> Result<Self, InvalidUpstream> {
        if let Some(path) = text.strip_prefix(UNIX) {
            return Self::unix(path);
        }
        // First of all, because every other message repeats the text.
        if text.contains('@') {
            return Err(invalid("an upstream's address takes no user and password"));
        }
        match SrvName::split(text) {
            Ok(None) => Self::origin(text),
            Ok(Some((srv, of_domain))) => Ok(Self {
                address: Address::Srv(srv.name.as_ref().into()),
                ..Self::origin(&of_domain)?
            }),
            Err(why) => Err(invalid(format!("the upstream `{text}` {why}"))),
        }
    }

    fn origin(text: &str) -> Result<Self, InvalidUpstream> {
        let uri: Uri = text.parse().map_err(|error| {
            invalid(format!(
                "the upstream `{text}` is not a URI ({error}): write http://HOST:PORT"
            ))
        })?;
        let (authority, is_tls) = match (uri.scheme(), uri.authority()) {
            (Some(scheme), Some(authority)) if *scheme == Scheme::HTTP => (authority.clone(), false),
            (Some(scheme), _) if *scheme == Scheme::HTTPS && cfg!(not(feature = "tls")) => {
                return Err(invalid(
                    "this program was built without TLS to upstreams: write http://HOST:PORT",
                ));
            }
            (Some(scheme), Some(authority)) if *scheme == Scheme::HTTPS => (authority.clone(), true),
            (Some(scheme), _) => {
                return Err(invalid(format!(
                    "the upstream's scheme `{scheme}` is not known: write http://HOST:PORT or https://HOST:PORT"
                )));
            }
            (None, _) => {
                return Err(invalid(format!(
                    "the upstream `{text}` has no scheme: write http://{text}"
                )));
            }
        };
        if !matches!(
            uri.path_and_query().map(http::uri::PathAndQuery::as_str),
            None | Some("/")
        ) {
            return Err(invalid(format!(
                "the upstream `{text}` must not have a path: a route's rewrite sets paths"
            )));
        }
        Self::new(authority, is_tls)
    }

    #[cfg(unix)]
    fn unix(path: &str) -> Result<Self, InvalidUpstream> {
        if !path.starts_with('/') {
            return Err(invalid(format!(
                "`unix:{path}` has no absolute path: write one such as unix:/run/app.sock"
            )));
        }
        // The usual name for a server that has none.
        let authority = Authority::from_static("localhost");
        Ok(Self {
            address: Address::Unix(std::path::Path::new(path).into()),
            ..Self::new(authority, false)?
        })
    }

    #[cfg(not(unix))]
    fn unix(_: &str) -> Result<Self, InvalidUpstream> {
        Err(invalid(
            "this system has no sockets of Unix: write http://HOST:PORT",
        ))
    }

    /// The same server at one address of its name.
    pub(super) fn at(&self, address: SocketAddr) -> Self {
        Self {
            address: Address::Socket(address),
            ..self.clone()
        }
    }

    fn new(authority: Authority, is_tls: bool) -> Result<Self, InvalidUpstream> {
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        if host.is_empty() {
            return Err(invalid(
                "the upstream's address has no host: write http://HOST:PORT",
            ));
        }
        let port = match authority.as_str()[authority.host().len()..].strip_prefix(':') {
            None if is_tls => HTTPS_PORT,
            None => HTTP_PORT,
            Some(_) => authority.port_u16().filter(|port| *port != 0).ok_or_else(|| {
                invalid(format!(
                    "the upstream `{authority}` has no port from 1 to 65535 after the colon"
                ))
            })?,
        };
        let field = HeaderValue::from_str(authority.as_str()).map_err(|_| {
            invalid(format!(
                "the upstream `{authority}` does not fit into a Host field"
            ))
        })?;
        let address = match host.parse() {
            Ok(ip) => Address::Socket(SocketAddr::new(ip, port)),
            Err(_) => Address::Name(host.as_str().into(), port),
        };
        Ok(Self {
            address,
            authority,
            field,
            host,
            is_tls,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(host, port) => write!(f, "{host}:{port}"),
            Self::Socket(address) => address.fmt(f),
            Self::Srv(name) => f.write_str(name),
            #[cfg(unix)]
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

fn invalid(text: impl Into<String>) -> InvalidUpstream {
    InvalidUpstream(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_addresses() {
        for (text, host, port) in [
            ("http://127.0.0.1:3000", "127.0.0.1", 3000),
            ("http://app.internal/", "app.internal", 80),
            ("http://[::1]:8080", "::1", 8080),
            #[cfg(feature = "tls")]
            ("https://app.internal", "app.internal", 443),
        ] {
            let target = Target::parse(text).unwrap();
            let address = match host.parse() {
                Ok(ip) => Address::Socket(SocketAddr::new(ip, port)),
                Err(_) => Address::Name(host.into(), port),
            };
            assert_eq!((target.host.as_str(), target.address), (host, address));
            assert_eq!(target.is_tls, text.starts_with("https"));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_path_is_an_address() {
        let target = Target::parse("unix:/run/app.sock").unwrap();
        assert_eq!(
            target.address,
            Address::Unix(std::path::Path::new("/run/app.sock").into())
        );
        assert_eq!(target.authority, "localhost");
        assert!(!target.is_tls);
    }

    #[cfg(feature = "srv")]
    #[test]
    fn a_name_of_records_is_called_as_its_domain() {
        let target = Target::parse("srv+http://_web._tcp.example.com").unwrap();
        assert_eq!(target.address, Address::Srv("_web._tcp.example.com".into()));
        assert_eq!(
            (target.host.as_str(), target.authority.as_str()),
            ("example.com", "example.com")
        );
        assert!(!target.is_tls);
        let error = Target::parse("srv+http://_web._tcp.example.com:80").unwrap_err();
        assert!(error.to_string().contains("SRV records say"), "{error}");
    }

    #[test]
    fn bad_addresses_say_what_to_write() {
        for (text, hint) in [
            ("127.0.0.1:3000", "write http://127.0.0.1:3000"),
            ("localhost", "write http://localhost"),
            #[cfg(not(feature = "tls"))]
            ("https://a", "TLS"),
            ("ftp://a", "scheme `ftp`"),
            #[cfg(unix)]
            ("unix:app.sock", "unix:/run/app.sock"),
            ("http://user:secret@a", "no user and password"),
            ("http://a/base", "must not have a path"),
            ("http://a/?q", "must not have a path"),
            ("http://a:0", "port"),
            ("http://a:70000", "port"),
            ("http://user:secret@a b", "no user and password"),
            ("http://a:", "port"),
            ("http://", "not a URI"),
            ("", "not a URI"),
        ] {
            let error = Target::parse(text).unwrap_err().to_string();
            assert!(error.contains(hint), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
