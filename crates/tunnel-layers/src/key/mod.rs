//! What limits are counted by.
//!
//! A limiting layer asks a [`KeyExtractor`] for the [`Key`] of each request; requests with the same key share a limit. There
//! are extractors for what the tunnel knows, pairs of them, and any closure:
//!
//! ```
//! use tunnel_layers::key::{ByAddress, ByHeader, ByRoute, Head, Key, KeyExtractor};
//!
//! // Each address on each route.
//! let _ = (ByRoute, ByAddress::new());
//!
//! // Each tenant; what the health checker asks for is not limited.
//! let by_tenant = |head: &Head<'_>| match head.headers.get("x-tenant") {
//!     _ if head.uri.path() == "/healthz" => None,
//!     tenant => Some(Key::of(&tenant.map(|tenant| tenant.as_bytes()))),
//! };
//! let request = http::Request::get("/healthz").body(()).unwrap();
//! assert!(by_tenant.key(&Head::of(&request)).is_none());
//!
//! let request = http::Request::get("/").header("x-tenant", "a").body(()).unwrap();
//! let head = Head::of(&request);
//! assert_eq!(by_tenant.key(&head), Some(Key::of(&Some("a".as_bytes()))));
//! assert_ne!(by_tenant.key(&head), ByHeader::new(http::header::HOST).key(&head));
//! ```
//!
//! What a request lacks does not free it from a limit: requests without an address, a rule, a header or whatever the
//! extractor looks for share one key.

mod by_address;
mod by_header;
mod by_principal;
mod by_route;
#[cfg(feature = "balance")]
mod hash_key;

#[cfg(any(feature = "concurrency", feature = "rate-limit"))]
use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};
use std::{
    fmt,
    hash::{BuildHasher, Hash, RandomState},
    sync::OnceLock,
};

use http::{Extensions, HeaderMap, Method, Request, Uri, Version, request::Parts};

#[cfg(feature = "balance")]
pub use self::hash_key::HashKey;
pub use self::{
    by_address::{ByAddress, DEFAULT_IPV6_PREFIX},
    by_header::ByHeader,
    by_principal::ByPrincipal,
    by_route::{ByGroup, ByRoute},
};

/// What requests that share a limit have in common: a fingerprint of 128 bits, keyed at random for each process.
///
/// A table of keys takes the same room whatever callers put into their headers, and holds none of it. Two values with the same
/// fingerprint would share a limit; nobody outside can find such values.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u64, u64);

impl Key {
    /// The key for this value. Values of different types have different keys only if they hash differently, so pair them
    /// with something that tells them apart.
    pub fn of<T: Hash + ?Sized>(value: &T) -> Self {
        static HASHERS: OnceLock<[RandomState; 2]> = OnceLock::new();
        let [one, other] = HASHERS.get_or_init(|| [RandomState::new(), RandomState::new()]);
        Self(one.hash_one(value), other.hash_one(value))
    }

    /// The key of these bits, which stand for a value already: 128, keyed at random for each process.
    const fn from_bits([one, other]: [u64; 2]) -> Self {
        Self(one, other)
    }

    /// Evenly spread bits, to place the key in a table.
    #[cfg(feature = "rate-limit")]
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// A map by keys, which need no hashing again.
#[cfg(any(feature = "concurrency", feature = "rate-limit"))]
pub(crate) type KeyMap<V> = HashMap<Key, V, BuildHasherDefault<Spread>>;

/// Takes the bits of a key as they are: they are spread already.
#[cfg(any(feature = "concurrency", feature = "rate-limit"))]
#[derive(Default)]
pub(crate) struct Spread(u64);

#[cfg(any(feature = "concurrency", feature = "rate-limit"))]
impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, bits: u64) {
        self.0 = self.0.rotate_left(32) ^ bits;
    }
}

/// The head of a request, as a [`KeyExtractor`] sees it: in its place, since whoever asks for a key has the request.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Head<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target.
    pub uri: &'a Uri,
    /// The version of HTTP.
    pub version: Version,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// What layers further out have found out.
    pub extensions: &'a Extensions,
}

impl<'a> Head<'a> {
    /// That of this request.
    pub fn of<B>(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            version: request.version(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }
}

impl<'a> From<&'a Parts> for Head<'a> {
    fn from(parts: &'a Parts) -> Self {
        Self {
            method: &parts.method,
            uri: &parts.uri,
            version: parts.version,
            headers: &parts.headers,
            extensions: &parts.extensions,
        }
    }
}

/// Finds the key of a request; see the [module](self). It is called once for each request, before it goes on, and must not
/// wait.
pub trait KeyExtractor: Clone + Send + Sync + 'static {
    /// The key of this request; `None` if the limit is not for it.
    fn key(&self, head: &Head<'_>) -> Option<Key>;

    /// Whether no request has a key, so that nobody need be asked. By default some may have one.
    fn is_for_nobody(&self) -> bool {
        false
    }
}

impl<F> KeyExtractor for F
where
    F: Fn(&Head<'_>) -> Option<Key> + Clone + Send + Sync + 'static,
{
    fn key(&self, head: &Head<'_>) -> Option<Key> {
        self(head)
    }
}

/// Each pair of keys; the limit is for requests that have both.
impl<A: KeyExtractor, B: KeyExtractor> KeyExtractor for (A, B) {
    fn key(&self, head: &Head<'_>) -> Option<Key> {
        Some(Key::of(&(self.0.key(head)?, self.1.key(head)?)))
    }

    fn is_for_nobody(&self) -> bool {
        self.0.is_for_nobody() || self.1.is_for_nobody()
    }
}

/// One key for all requests: a limit for the whole.
#[derive(Clone, Copy, Debug, Default)]
pub struct Everyone;

impl KeyExtractor for Everyone {
    fn key(&self, _: &Head<'_>) -> Option<Key> {
        Some(Key(0, 0))
    }
}

/// Apart from the values of each other, the extractors here are told apart by these.
#[derive(Hash)]
enum Space {
    Address,
    Header,
    Route,
    Group,
    Principal,
}

#[cfg(all(test, feature = "full"))]
mod tests;
