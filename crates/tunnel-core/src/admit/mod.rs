//! Admission: where the head of a request is checked, made canonical and cleaned, once.
//!
//! The first of our layers that sees a request calls [`ensure`], or an entry calls [`admit`](admit()) with its own [`Policy`].
//! The result stands in the extensions as [`Canonical`]: what routing and auth both read, so that neither can be talked into
//! another host or path than the other. A stack mounted in somebody's own server is then as safe as our entry.
//!
//! | what | rule |
//! | --- | --- |
//! | limits | target 8 KiB (414), 100 fields and 32 KiB in all (431) |
//! | method | TRACE, and CONNECT without `:protocol`, are 501 |
//! | host | exactly one, well formed; the absolute form wins over `Host` (RFC 9112, section 3.2.2); `:authority` and `host` agree |
//! | target | starts with `/`, or is the `*` of OPTIONS; without what servers read in two ways (see [`Policy`]) |
//! | framing | `Transfer-Encoding` is one `chunked` and stands alone; one `Content-Length` |
//! | `Expect` | `100-continue` or nothing; dropped from HTTP/1.0 |
//! | one hop | fields of RFC 9110, section 7.6.1 are removed, nominated ones too, unless they are such as a client must not hide |
//! | forwarding | set from the socket; a client's own are dropped, and an agent's; a trusted proxy's continued |
//! | circles | a request that came from an agent is admitted at most 8 times (508), see [`HOPS_HEADER`] |
//! | cookies | the pieces that HTTP/2 may make of them are joined |
//!
//! Everything else comes out as it went in: path and query byte for byte, duplicate fields, bytes beyond ASCII.
//!
//! After it, the URI is absolute and one `host` field equals its authority, unless the request is HTTP/1.0 without `Host`. The
//! target `*` is then held by a `Uri` of scheme, authority and the path `*`, as an HTTP/2 codec shows it: clients send it
//! right, but such a `Uri` must not be printed and parsed again. `OPTIONS http://host` (without a slash) cannot be told from
//! `OPTIONS http://host/`, because `Uri` does not.

mod authority;
mod canonical;
mod fault;
mod forwarded;
mod found;
mod framing;
mod hop;
mod hops;
mod limits;
mod origin;
mod path;
mod policy;
mod prefix;
#[cfg(test)]
mod tests;
mod upgrade;

use std::sync::Arc;

use http::{
    Extensions, Method, Uri, Version, header,
    request::Parts,
    uri::{PathAndQuery, Scheme},
};

pub(crate) use self::{
    authority::HostPort,
    canonical::CanonicalPath,
    fault::Fault,
    framing::is_continue,
    hop::clean_admitted,
    limits::{fields_len, line_len},
    origin::{HostMemo, Named, OriginMemo},
    path::canonical as path_for_matching,
};
pub use self::{
    canonical::Canonical,
    hop::{clean_response, clean_trailers},
    hops::{DEFAULT_MAX_HOPS, HOPS_HEADER},
    path::canonical_path,
    policy::{DEFAULT_MAX_FIELDS, DEFAULT_MAX_HEAD_BYTES, DEFAULT_MAX_URI_BYTES, Policy},
    prefix::{IpPrefix, ParseIpPrefixError},
    upgrade::{ExtendedConnect, UpgradeRequest, is_protocol_name},
};
use self::{found::Found, origin::Origin, path::Target};
use crate::{
    auth::AgentCaller,
    error::{Cause, TunnelError},
    peer::PeerInfo,
};

/// Checks the head of a request, makes it canonical, and removes what must not go further. Call it once for a request: a
/// second call would continue a trusted peer's forwarding fields twice; [`ensure`] sees to that.
///
/// ```
/// use tunnel_core::{PeerInfo, admit::{self, Canonical, Policy}};
///
/// let request = http::Request::get("/a%2Db//c?q=1")
///     .header("host", "Example.COM:80")
///     .header("connection", "x-hop")
///     .header("x-hop", "1")
///     .header("x-forwarded-for", "10.0.0.1");
/// let (mut parts, ()) = request.body(())?.into_parts();
/// let peer = PeerInfo::plaintext("192.0.2.7:50000".parse()?);
/// admit::admit(&mut parts, &peer, &Policy::new())?;
///
/// assert_eq!(parts.uri, "http://example.com/a%2Db//c?q=1");
/// assert_eq!(parts.headers["host"], "example.com");
/// assert!(!parts.headers.contains_key("x-hop"));
/// assert_eq!(parts.headers["x-forwarded-for"], "192.0.2.7");
/// let canonical = parts.extensions.get::<Canonical>().unwrap();
/// assert_eq!((canonical.host(), canonical.path()), ("example.com", "/a-b/c"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Cause::Malformed`], [`Cause::HeadTooLarge`], [`Cause::UriTooLong`], [`Cause::MethodNotServed`] or [`Cause::Loop`], from the caller, with
/// nothing sent. The head is then as it was.
pub fn admit(parts: &mut Parts, peer: &PeerInfo, policy: &Policy) -> Result<(), TunnelError> {
    let found = Found::of(&parts.headers);
    let is_agents = parts.extensions.get::<AgentCaller>().is_some();
    let (origin, target) = check(parts, found, peer, policy).map_err(Fault::by_caller)?;
    let hops = hops::check(&parts.headers, found, is_agents, policy).map_err(Fault::by_caller)?;
    if let Some(upgrade) = upgrade::requested(parts, found) {
        parts.extensions.insert(upgrade);
    }
    framing::clean(parts, found);
    hop::strip_found(&mut parts.headers, found);
    // The address of an agent says nothing of whether it may speak for others.
    let is_trusted = !is_agents && peer.addr.is_some_and(|addr| policy.trusts(addr.ip()));
    forwarded::apply(&mut parts.headers, found, &origin, &peer.scheme, is_trusted);
    hops::apply(&mut parts.headers, hops);
    let host = origin.host.as_ref().map(|host| {
        if parts.headers.get(header::HOST) != Some(&host.value) {
            parts.headers.insert(header::HOST, host.value.clone());
        }
        host.port.clone()
    });
    place(parts, &peer.scheme, host, target.path_and_query, target.canonical).map_err(Fault::by_caller)
}

/// [Admits](admit()) a request that was not yet. The peer is the [`PeerInfo`] of its extensions, else an unknown one; the policy is
/// their `Arc<Policy>`, else the default.
///
/// # Errors
///
/// As [`admit`](admit()).
pub fn ensure(parts: &mut Parts) -> Result<(), TunnelError> {
    static DEFAULT: Policy = Policy::new();
    if is_admitted(&parts.extensions) {
        return Ok(());
    }
    let peer = parts.extensions.get().cloned().unwrap_or_else(PeerInfo::unknown);
    match parts.extensions.get::<Arc<Policy>>().cloned() {
        Some(policy) => admit(parts, &peer, &policy),
        None => admit(parts, &peer, &DEFAULT),
    }
}

/// Whether the request with these extensions was admitted.
#[must_use]
pub fn is_admitted(extensions: &Extensions) -> bool {
    extensions.get::<Canonical>().is_some()
}

/// All that can fail, before anything is changed.
fn check(
    parts: &Parts,
    found: Found,
    peer: &PeerInfo,
    policy: &Policy,
) -> Result<(Arc<Origin>, Target), Fault> {
    check_method(parts)?;
    limits::check(parts, policy)?;
    check_scheme(&parts.uri)?;
    check_names(found, policy)?;
    if parts.version < Version::HTTP_10 {
        return Err(Fault::malformed("HTTP/0.9 is not served: use HTTP/1.1"));
    }
    let target = path::check(parts, policy)?;
    let origin = Origin::of(parts, found, peer)?;
    framing::check(parts, found)?;
    Ok((origin, target))
}

fn check_method(parts: &Parts) -> Result<(), Fault> {
    let is_extended = parts.version > Version::HTTP_11 && parts.extensions.get::<ExtendedConnect>().is_some();
    match parts.method {
        Method::TRACE => Err(Fault::new(
            Cause::MethodNotServed,
            "TRACE is not served, because it shows a client's fields to whoever sent it",
        )),
        Method::CONNECT if !is_extended => Err(Fault::new(
            Cause::MethodNotServed,
            "CONNECT is served only over HTTP/2 with `:protocol`: this is a gateway, no proxy",
        )),
        _ => Ok(()),
    }
}

/// The absolute form and HTTP/2 carry a scheme. Which one of the two it is, the entry knows better.
fn check_scheme(uri: &Uri) -> Result<(), Fault> {
    match uri.scheme_str() {
        None | Some("http" | "https") => Ok(()),
        Some(_) => Err(Fault::malformed(
            "the scheme of the target is not `http` or `https`",
        )),
    }
}

fn check_names(found: Found, policy: &Policy) -> Result<(), Fault> {
    if policy.reject_underscores && found.has(Found::UNDERSCORE) {
        return Err(Fault::malformed(
            "the name of a field has an underscore: write a hyphen",
        ));
    }
    Ok(())
}

/// Writes what was found, but for `host`: the URI, and [`Canonical`].
pub(crate) fn place(
    parts: &mut Parts,
    scheme: &Scheme,
    host: Option<HostPort>,
    path_and_query: PathAndQuery,
    path: CanonicalPath,
) -> Result<(), Fault> {
    let mut uri = http::uri::Parts::default();
    uri.path_and_query = Some(path_and_query);
    if let Some(host) = &host {
        uri.scheme = Some(scheme.clone());
        uri.authority = Some(host.authority.clone());
    }
    parts.uri = Uri::from_parts(uri).map_err(|_| Fault::malformed("the request target is malformed"))?;
    let asks_upgrade = parts.extensions.get::<UpgradeRequest>().is_some();
    parts
        .extensions
        .insert(Canonical::new(scheme.clone(), host, path, asks_upgrade));
    Ok(())
}
