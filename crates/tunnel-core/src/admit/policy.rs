//! What an operator may decide about heads.

use std::net::IpAddr;

use super::{hops::DEFAULT_MAX_HOPS, prefix::IpPrefix};

/// The most bytes of a head, unless a policy says otherwise: half of what the codecs are set to take, so that our answer
/// comes in full and not as the codec's bare one.
pub const DEFAULT_MAX_HEAD_BYTES: usize = 32 * 1024;

/// The most fields of a head, unless a policy says otherwise: what common proxies allow.
pub const DEFAULT_MAX_FIELDS: usize = 100;

/// The most bytes of a request target, unless a policy says otherwise: the least that RFC 9110, section 4.1 asks every
/// recipient to take.
pub const DEFAULT_MAX_URI_BYTES: usize = 8 * 1024;

/// What [`admit`](super::admit()) lets in, and whom it trusts.
///
/// ```
/// use tunnel_core::admit::Policy;
///
/// let policy = Policy::new()
///     .max_head_bytes(16 * 1024)
///     .trusted_peers(["10.0.0.0/8".parse()?, "::1".parse()?])
///     .allow_encoded_slashes(false);
/// assert!(policy.trusts("10.1.2.3".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub(super) max_head_bytes: usize,
    pub(super) max_fields: usize,
    pub(super) max_uri_bytes: usize,
    pub(super) max_hops: u32,
    pub(super) trusted: Vec<IpPrefix>,
    pub(super) reject_underscores: bool,
    pub(super) dot_segments: bool,
    pub(super) encoded_slashes: bool,
}

impl Policy {
    /// The defaults: the limits above, nobody is trusted, dot segments are refused.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            max_head_bytes: DEFAULT_MAX_HEAD_BYTES,
            max_fields: DEFAULT_MAX_FIELDS,
            max_uri_bytes: DEFAULT_MAX_URI_BYTES,
            max_hops: DEFAULT_MAX_HOPS,
            trusted: Vec::new(),
            reject_underscores: false,
            dot_segments: false,
            encoded_slashes: true,
        }
    }

    /// The most bytes of a head: the request line, and for each field its name, its value and 4 more. A larger one is
    /// answered 431. It works only below the codec's own limit.
    #[must_use]
    pub fn max_head_bytes(mut self, bytes: usize) -> Self {
        self.max_head_bytes = bytes;
        self
    }

    /// The most fields of a head, each line counted. More are answered 431.
    #[must_use]
    pub fn max_fields(mut self, fields: usize) -> Self {
        self.max_fields = fields;
        self
    }

    /// The most bytes of the request target, with scheme and authority if it has them. A longer one is answered 414.
    #[must_use]
    pub fn max_uri_bytes(mut self, bytes: usize) -> Self {
        self.max_uri_bytes = bytes;
        self
    }

    /// How often a request may be admitted that came from an agent, this time included; then it goes round in a circle, and is
    /// answered 508. See [`HOPS_HEADER`](super::HOPS_HEADER).
    #[must_use]
    pub fn max_hops(mut self, hops: u32) -> Self {
        self.max_hops = hops;
        self
    }

    /// Proxies in front of us, by the address of their sockets: what they say in forwarding fields is kept and continued.
    /// What anybody else says there is dropped, and so is what an [agent](crate::AgentCaller) says, wherever it comes from. Nobody is
    /// trusted by default.
    #[must_use]
    pub fn trusted_peers(mut self, prefixes: impl IntoIterator<Item = IpPrefix>) -> Self {
        self.trusted = prefixes.into_iter().collect();
        self
    }

    /// Whether to refuse (400) every field whose name has an underscore. Off by default: such names are legal, and the ones
    /// that a CGI-like upstream could take for a forwarding field (`X_Forwarded_For`) are dropped anyway.
    #[must_use]
    pub fn reject_underscores(mut self, reject: bool) -> Self {
        self.reject_underscores = reject;
        self
    }

    /// Whether to let paths with dot segments (`.`, `..`, `%2e%2e`, `..;x`) pass. Off by default (400): the path goes to the
    /// upstream byte for byte, so that a rule would judge the resolved path, and the upstream might serve another one.
    #[must_use]
    pub fn allow_dot_segments(mut self, allow: bool) -> Self {
        self.dot_segments = allow;
        self
    }

    /// Whether to let paths with an encoded slash (`%2F`), an encoded backslash (`%5C`) or a backslash pass. On by default,
    /// because common interfaces need them (`/packages/@scope%2Fname`). They match as what they are, `%2F` and `%5C`, and never
    /// as a slash; turn it off where an upstream takes them for a slash and rules stand for more than a prefix of its own.
    #[must_use]
    pub fn allow_encoded_slashes(mut self, allow: bool) -> Self {
        self.encoded_slashes = allow;
        self
    }

    /// Whether the forwarding fields of a peer with this address are believed.
    #[must_use]
    pub fn trusts(&self, addr: IpAddr) -> bool {
        self.trusted.iter().any(|prefix| prefix.contains(addr))
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::new()
    }
}
