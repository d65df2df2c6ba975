//! What a head holds of the fields that admission has to do with, found in one pass over its names.
//!
//! An ordinary head has almost none of them. To look up each by itself would cost a hash for each, many times what one look at
//! the names that are there costs.

use http::HeaderMap;

use super::forwarded::is_spoofable;

/// Fields that a head holds: a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found(u16);

impl Found {
    pub(super) const CONNECTION: Self = Self(1);
    /// A field that is always for one hop, and none of those that have a place of their own here.
    pub(super) const OTHER_HOP: Self = Self(1 << 1);
    pub(super) const UPGRADE: Self = Self(1 << 2);
    pub(super) const TE: Self = Self(1 << 3);
    pub(super) const TRANSFER_ENCODING: Self = Self(1 << 4);
    pub(super) const CONTENT_LENGTH: Self = Self(1 << 5);
    pub(super) const EXPECT: Self = Self(1 << 6);
    pub(super) const COOKIE: Self = Self(1 << 7);
    pub(super) const HOST: Self = Self(1 << 8);
    /// A name by which a request tells where it came from, with hyphens or with underscores.
    pub(super) const SPOOFABLE: Self = Self(1 << 9);
    /// A name with an underscore.
    pub(super) const UNDERSCORE: Self = Self(1 << 10);
    /// A field that trailers must not have.
    pub(super) const BARRED: Self = Self(1 << 11);
    pub(super) const HOPS: Self = Self(1 << 12);

    /// All that stands in `headers`.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        headers.keys().fold(Self::default(), |found, name| {
            let name = name.as_str();
            found.and(Self::by_name(name).unwrap_or_else(|| Self::by_other(name)))
        })
    }

    /// All but [`SPOOFABLE`](Self::SPOOFABLE) and [`UNDERSCORE`](Self::UNDERSCORE), which need a look at every byte: for heads in
    /// which nobody asks for those.
    pub(super) fn named(headers: &HeaderMap) -> Self {
        headers.keys().fold(Self::default(), |found, name| {
            found.and(Self::by_name(name.as_str()).unwrap_or_default())
        })
    }

    /// What a field with this name, in lower case, is, if the name alone says that.
    fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "host" => Self::HOST.and(Self::BARRED),
            "te" => Self::TE.and(Self::BARRED),
            "connection" => Self::CONNECTION,
            "upgrade" => Self::UPGRADE,
            "transfer-encoding" => Self::TRANSFER_ENCODING,
            "content-length" => Self::CONTENT_LENGTH.and(Self::BARRED),
            "expect" => Self::EXPECT.and(Self::BARRED),
            "cookie" => Self::COOKIE.and(Self::BARRED),
            "x-tunnel-hops" => Self::HOPS,
            "trailer" | "authorization" | "set-cookie" => Self::BARRED,
            "keep-alive"
            | "http2-settings"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-authentication-info" => Self::OTHER_HOP,
            _ => return None,
        })
    }

    fn by_other(name: &str) -> Self {
        let one = |is: bool, what: Self| if is { what } else { Self::default() };
        let underscore = one(name.bytes().any(|byte| byte == b'_'), Self::UNDERSCORE);
        underscore.and(one(is_spoofable(name), Self::SPOOFABLE))
    }

    /// Both sets.
    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any of these fields is there.
    pub(super) const fn has(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }
}
