use std::fmt;

use http::{Extensions, HeaderMap, Method, request::Parts};

use super::{AgentCaller, TlsIdentity};
use crate::{admit::Canonical, peer::PeerInfo, route::Routed};

/// What an [`Authenticator`](super::Authenticator) sees of a request.
///
/// Host and path are those by which rules are found, so that no caller can be authorized for one and served another.
#[derive(Clone, Copy)]
pub struct AuthRequest<'a> {
    method: &'a Method,
    headers: &'a HeaderMap,
    extensions: &'a Extensions,
}

impl<'a> AuthRequest<'a> {
    /// What there is to see of a request. It should have been [admitted](crate::admit).
    #[must_use]
    pub const fn new(method: &'a Method, headers: &'a HeaderMap, extensions: &'a Extensions) -> Self {
        Self {
            method,
            headers,
            extensions,
        }
    }

    /// What there is to see of a request with this head. It should have been [admitted](crate::admit).
    #[must_use]
    pub const fn of(parts: &'a Parts) -> Self {
        Self::new(&parts.method, &parts.headers, &parts.extensions)
    }

    /// The method.
    #[must_use]
    pub const fn method(&self) -> &'a Method {
        self.method
    }

    /// The headers.
    #[must_use]
    pub const fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// Scheme, authority and path; none for a call to the agents' port, which is not admitted.
    #[must_use]
    pub fn canonical(&self) -> Option<&'a Canonical> {
        self.extensions.get()
    }

    /// The host for matching, in lower case and without port; empty if there is none.
    #[must_use]
    pub fn host(&self) -> &'a str {
        self.canonical().map_or("", Canonical::host)
    }

    /// The path for matching; empty if there is none.
    #[must_use]
    pub fn path(&self) -> &'a str {
        self.canonical().map_or("", Canonical::path)
    }

    /// The rule that the request matched, if a routing layer stands outside.
    #[must_use]
    pub fn routed(&self) -> Option<&'a Routed> {
        self.extensions.get()
    }

    /// The other side of the socket, if the server said so.
    #[must_use]
    pub fn peer(&self) -> Option<&'a PeerInfo> {
        self.extensions.get()
    }

    /// What the caller's verified certificate says, if it showed one.
    #[must_use]
    pub fn tls(&self) -> Option<&'a TlsIdentity> {
        self.extensions.get()
    }

    /// The agent that has sent the request, if it came from one by its session.
    #[must_use]
    pub fn agent(&self) -> Option<&'a AgentCaller> {
        self.extensions.get()
    }

    /// A copy that owns what it says.
    #[must_use]
    pub fn to_parts(&self) -> AuthParts {
        AuthParts {
            method: self.method.clone(),
            headers: self.headers.clone(),
            canonical: self.canonical().cloned(),
            routed: self.routed().cloned(),
            peer: self.peer().cloned(),
            tls: self.tls().cloned(),
            agent: self.agent().cloned(),
        }
    }
}

impl fmt::Debug for AuthRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug(f, "AuthRequest", self.method, self.headers)
    }
}

/// What an [`Authenticator`](super::Authenticator) sees of a request, as its own.
#[derive(Clone)]
#[non_exhaustive]
pub struct AuthParts {
    /// The method.
    pub method: Method,
    /// The headers.
    pub headers: HeaderMap,
    /// Scheme, authority and path.
    pub canonical: Option<Canonical>,
    /// The rule that the request matched, if a routing layer stands outside.
    pub routed: Option<Routed>,
    /// The other side of the socket, if the server said so.
    pub peer: Option<PeerInfo>,
    /// What the caller's verified certificate says, if it showed one.
    pub tls: Option<TlsIdentity>,
    /// The agent that has sent the request, if it came from one by its session.
    pub agent: Option<AgentCaller>,
}

impl fmt::Debug for AuthParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug(f, "AuthParts", &self.method, &self.headers)
    }
}

/// Neither header values nor paths: both may hold secrets.
fn debug(f: &mut fmt::Formatter<'_>, name: &str, method: &Method, headers: &HeaderMap) -> fmt::Result {
    let headers: Vec<_> = headers.keys().collect();
    f.debug_struct(name)
        .field("method", method)
        .field("headers", &headers)
        .finish_non_exhaustive()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admit;

    fn parts() -> Parts {
        let request = http::Request::get("/a//b?token=hush")
            .header("host", "Example.com")
            .header("authorization", "Bearer hush");
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        admit::ensure(&mut parts).unwrap();
        parts
    }

    #[test]
    fn it_sees_what_rules_see() {
        let parts = parts();
        let request = AuthRequest::of(&parts);
        assert_eq!((request.host(), request.path()), ("example.com", "/a/b"));
        assert_eq!(request.to_parts().canonical.unwrap().path(), "/a/b");
        assert!(request.tls().is_none() && request.routed().is_none());
    }

    #[test]
    fn debug_shows_no_secrets() {
        let parts = parts();
        let request = AuthRequest::of(&parts);
        for text in [format!("{request:?}"), format!("{:?}", request.to_parts())] {
            assert!(text.contains("authorization") && !text.contains("hush"), "{text}");
        }
    }
}
