//! What routing and auth both read.

use std::fmt;

use http::uri::{Authority, PathAndQuery, Scheme};

use super::authority::HostPort;

/// Host and path of an admitted request, in the one form that rules and auth match on. It stands in the request's
/// extensions; a clone costs a few reference counts.
///
/// It tells what the outside client asked for: a rule that rewrites host or path changes the URI and leaves this alone.
#[derive(Clone)]
pub struct Canonical {
    scheme: Scheme,
    host: Option<HostPort>,
    path: CanonicalPath,
    asks_upgrade: bool,
}

/// A path in the form for matching.
#[derive(Clone, Debug)]
pub(crate) enum CanonicalPath {
    /// It came in this form.
    Same(PathAndQuery),
    Changed(Box<str>),
}

impl Canonical {
    pub(crate) const fn new(
        scheme: Scheme,
        host: Option<HostPort>,
        path: CanonicalPath,
        asks_upgrade: bool,
    ) -> Self {
        Self {
            scheme,
            host,
            path,
            asks_upgrade,
        }
    }

    /// The scheme by which the outside client came, as the entry knows it.
    #[must_use]
    pub const fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// Host and port, without the scheme's default port; none for HTTP/1.0 without `Host`.
    #[must_use]
    pub fn authority(&self) -> Option<&Authority> {
        self.host.as_ref().map(|host| &host.authority)
    }

    /// The host in lower case, without port and trailing dot, an IPv6 address in brackets; empty for HTTP/1.0 without
    /// `Host`.
    #[must_use]
    pub fn host(&self) -> &str {
        match &self.host {
            // The canonical form is host, colon, port, and has been measured when it was made.
            Some(host) => &host.authority.as_str()[..host.host_len],
            None => "",
        }
    }

    /// The port, unless it is the scheme's default port.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.host.as_ref().and_then(|host| host.port)
    }

    /// The path for matching: starts with `/`, or is `*`. One spelling of escapes, one slash where several stood, no path
    /// parameters, no dot segments. All of it is ASCII. The upstream gets the path as it came.
    #[must_use]
    pub fn path(&self) -> &str {
        match &self.path {
            CanonicalPath::Same(path) => path.path(),
            CanonicalPath::Changed(path) => path,
        }
    }

    /// Whether the request asked to switch to another protocol: an [`UpgradeRequest`](super::UpgradeRequest) was put beside this.
    #[must_use]
    pub const fn asks_upgrade(&self) -> bool {
        self.asks_upgrade
    }
}

impl fmt::Debug for Canonical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canonical")
            .field("scheme", self.scheme())
            .field("authority", &self.authority())
            .finish_non_exhaustive()
    }
}
