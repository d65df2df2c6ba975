use http::HeaderName;

use super::{Head, Key, KeyExtractor, Space};

/// Counts by the value of a header, such as an API key. Requests without it share one key.
///
/// Callers choose what they send, so this is for headers that somebody has checked; else it limits nobody who does not want
/// to be limited.
#[derive(Clone, Debug)]
pub struct ByHeader(HeaderName);

impl ByHeader {
    /// By the first header with this name.
    #[must_use]
    pub const fn new(name: HeaderName) -> Self {
        Self(name)
    }
}

impl KeyExtractor for ByHeader {
    fn key(&self, head: &Head<'_>) -> Option<Key> {
        let value = head.headers.get(&self.0).map(|value| value.as_bytes());
        Some(Key::of(&(Space::Header, self.0.as_str(), value)))
    }
}
