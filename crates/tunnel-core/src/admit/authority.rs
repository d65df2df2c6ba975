//! Which host a request is for.
//!
//! hyper lets a missing, doubled or malformed `Host` through. Rules match on it, so there must be exactly one, and one way to
//! write it: lower case, no trailing dot, no default port, an IPv6 address as RFC 5952 writes it.

use std::{fmt, net::Ipv6Addr};

use bytes::Bytes;
use http::{
    HeaderMap, Version, header, request,
    uri::{Authority, Scheme},
};

use super::{fault::Fault, found::Found};

/// The longest host name that the DNS can hold.
const MAX_HOST_BYTES: usize = 253;

/// An authority in canonical form, and where its parts are.
#[derive(Clone, Debug)]
pub(crate) struct HostPort {
    pub(crate) authority: Authority,
    pub(super) host_len: usize,
    pub(super) port: Option<u16>,
}

#[derive(Clone, Copy, Debug)]
enum Host<'a> {
    Name(&'a str),
    V6(Ipv6Addr),
}

/// What an authority means, whichever way it was written.
#[derive(Clone, Copy, Debug)]
struct Parsed<'a> {
    raw: &'a str,
    host: Host<'a>,
    /// None for the scheme's default port as well.
    port: Option<u16>,
}

/// The text that names the host of a request, if it is the only one that does.
pub(super) fn only(parts: &request::Parts, found: Found) -> Option<&[u8]> {
    match parts.uri.authority() {
        Some(authority) if !found.has(Found::HOST) && parts.version > Version::HTTP_11 => {
            Some(authority.as_str().as_bytes())
        }
        Some(_) => None,
        None => {
            let mut hosts = parts.headers.get_all(header::HOST).iter();
            let first = hosts.next()?;
            hosts.next().is_none().then(|| first.as_bytes())
        }
    }
}

/// The one authority of a request: that of the target (absolute form, `:authority`), else `Host`. None for HTTP/1.0 without
/// either.
pub(super) fn choose(
    parts: &request::Parts,
    found: Found,
    scheme: &Scheme,
) -> Result<Option<HostPort>, Fault> {
    let request::Parts {
        version,
        uri,
        headers,
        ..
    } = parts;
    let version = *version;
    let host = match found.has(Found::HOST) {
        true => host_field(headers, scheme)?,
        false => None,
    };
    let target = uri
        .authority()
        .map(|authority| parse(authority.as_str().as_bytes(), scheme))
        .transpose()?;
    match (target, host) {
        (Some(target), Some(host)) if version > Version::HTTP_11 && !target.means(&host) => Err(
            Fault::malformed("`:authority` and `host` name different hosts: send `:authority` alone"),
        ),
        (None, None) if version > Version::HTTP_11 => Err(Fault::malformed(
            "the request has neither `:authority` nor `host`: send `:authority`",
        )),
        (_, None) if version == Version::HTTP_11 => Err(Fault::malformed(
            "the request has no Host field: HTTP/1.1 needs one, in the absolute form too",
        )),
        (Some(target), _) => target.canonical(uri.authority()).map(Some),
        (None, Some(host)) => host.canonical(None).map(Some),
        (None, None) => Ok(None),
    }
}

/// What the one `Host` field says.
fn host_field<'a>(headers: &'a HeaderMap, scheme: &Scheme) -> Result<Option<Parsed<'a>>, Fault> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts
        .next()
        .map(|value| parse(value.as_bytes(), scheme))
        .transpose()?;
    if hosts.next().is_some() {
        return Err(Fault::malformed(
            "the request has more than one Host field: send one",
        ));
    }
    Ok(host)
}

/// The canonical form of `authority`.
pub(crate) fn canonical(authority: &Authority, scheme: &Scheme) -> Result<HostPort, Fault> {
    parse(authority.as_str().as_bytes(), scheme)?.canonical(Some(authority))
}

fn parse<'a>(raw: &'a [u8], scheme: &Scheme) -> Result<Parsed<'a>, Fault> {
    let Some(raw) = std::str::from_utf8(raw).ok().filter(|raw| raw.is_ascii()) else {
        return Err(Fault::malformed(
            "the host is not ASCII: write an international name in its `xn--` form",
        ));
    };
    if raw.contains('@') {
        return Err(Fault::malformed(
            "the host has a user name before `@`: send credentials in a field",
        ));
    }
    let (host, port) = split(raw)?;
    let port = parse_port(port)?.filter(|port| Some(*port) != default_port(scheme));
    Ok(Parsed { raw, host, port })
}

/// Host, and the digits behind the colon if there is one.
fn split(raw: &str) -> Result<(Host<'_>, Option<&str>), Fault> {
    const BRACKETS: &str = "the host is no IPv6 address in brackets: write `[2001:db8::1]`";
    if let Some(rest) = raw.strip_prefix('[') {
        let (addr, rest) = rest.split_once(']').ok_or_else(|| Fault::malformed(BRACKETS))?;
        let addr = addr.parse().map_err(|_| Fault::malformed(BRACKETS))?;
        let port = match rest.strip_prefix(':') {
            None if rest.is_empty() => None,
            None => return Err(Fault::malformed(BRACKETS)),
            some => some,
        };
        return Ok((Host::V6(addr), port));
    }
    let (name, port) = match raw.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (raw, None),
    };
    Ok((Host::Name(check_name(name)?), port))
}

/// A name without its trailing dot. RFC 3986 allows more characters than these; no host has them, and rules use some.
fn check_name(name: &str) -> Result<&str, Fault> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() > MAX_HOST_BYTES {
        return Err(Fault::malformed("the host is empty or longer than 253 bytes"));
    }
    if !bytes.iter().copied().all(plain) {
        return Err(Fault::malformed(
            "the host has a character that no host name has: letters, digits, `-`, `_` and dots are allowed",
        ));
    }
    if bytes[0] == b'.' || bytes.ends_with(b".") || name.contains("..") {
        return Err(Fault::malformed("the host has an empty label between its dots"));
    }
    Ok(name)
}

/// An empty port is none (RFC 3986, section 6.2.3).
fn parse_port(digits: Option<&str>) -> Result<Option<u16>, Fault> {
    let Some(digits) = digits.filter(|digits| !digits.is_empty()) else {
        return Ok(None);
    };
    // `parse` alone would take a sign.
    let port = match digits.bytes().all(|byte| byte.is_ascii_digit()) {
        true if digits.len() <= 5 => digits.parse().unwrap_or(0),
        _ => 0,
    };
    if port == 0 {
        return Err(Fault::malformed(
            "the host's port is not a number from 1 to 65535",
        ));
    }
    Ok(Some(port))
}

pub(super) fn default_port(scheme: &Scheme) -> Option<u16> {
    match scheme.as_str() {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

impl Parsed<'_> {
    fn means(&self, other: &Self) -> bool {
        let same_host = match (self.host, other.host) {
            (Host::Name(one), Host::Name(other)) => one.eq_ignore_ascii_case(other),
            (Host::V6(one), Host::V6(other)) => one == other,
            (Host::Name(_), Host::V6(_)) | (Host::V6(_), Host::Name(_)) => false,
        };
        same_host && self.port == other.port
    }

    /// The canonical form; `original` itself if it is that already.
    fn canonical(&self, original: Option<&Authority>) -> Result<HostPort, Fault> {
        let authority = match original {
            Some(original) if self.is_canonical() => original.clone(),
            _ => {
                let text = Bytes::from(self.to_string());
                // What the checks above let pass is a subset of what this takes.
                Authority::from_maybe_shared(text).map_err(|_| Fault::malformed("the host is malformed"))?
            }
        };
        let port_len = self.port.map_or(0, |port| decimal_len(port) + 1);
        Ok(HostPort {
            host_len: authority.as_str().len() - port_len,
            authority,
            port: self.port,
        })
    }

    fn is_canonical(&self) -> bool {
        let Host::Name(name) = self.host else {
            return self.raw == self.to_string();
        };
        // Longer than name and port: a trailing dot, an empty or default port, or a leading zero.
        let port_len = self.port.map_or(0, |port| decimal_len(port) + 1);
        self.raw.len() == name.len() + port_len && !name.bytes().any(|byte| byte.is_ascii_uppercase())
    }
}

impl fmt::Display for Parsed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            Host::Name(name) => name
                .chars()
                .try_for_each(|char| fmt::Write::write_char(f, char.to_ascii_lowercase()))?,
            Host::V6(addr) => write!(f, "[{addr}]")?,
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

fn decimal_len(port: u16) -> usize {
    port.checked_ilog10().map_or(1, |log| log as usize + 1)
}
