use std::{fmt, net::IpAddr, sync::Arc};

/// What a certificate says of a client: its subject alternative names. Whoever accepts TLS connections puts it into the
/// extensions of their requests, only for a chain that was verified against the CAs for clients; it is never read from a
/// header. A clone costs a reference count.
///
/// The subject itself is left out: its common name is no name that verifiers go by (RFC 9525, section 2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsIdentity(Arc<[SubjectAltName]>);

/// One name of a certificate (RFC 5280, section 4.2.1.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubjectAltName {
    /// A `dNSName`.
    Dns(Box<str>),
    /// A `uniformResourceIdentifier`, such as a SPIFFE id.
    Uri(Box<str>),
    /// An `rfc822Name`.
    Email(Box<str>),
    /// An `iPAddress`.
    Ip(IpAddr),
}

impl TlsIdentity {
    /// The identity of a certificate with these names, in the certificate's order.
    pub fn new(names: impl IntoIterator<Item = SubjectAltName>) -> Self {
        Self(names.into_iter().collect())
    }

    /// The names, in the certificate's order.
    #[must_use]
    pub fn names(&self) -> &[SubjectAltName] {
        &self.0
    }
}

/// The kind and the name: `dns:a.example`, `uri:spiffe://prod/web`, `email:a@b.example`, `ip:192.0.2.1`.
impl fmt::Display for SubjectAltName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => write!(f, "dns:{name}"),
            Self::Uri(uri) => write!(f, "uri:{uri}"),
            Self::Email(address) => write!(f, "email:{address}"),
            Self::Ip(addr) => write!(f, "ip:{addr}"),
        }
    }
}
