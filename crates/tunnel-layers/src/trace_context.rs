//! The trace that a request belongs to (W3C Trace Context, level 2).

use std::{
    fmt,
    num::{NonZeroU64, NonZeroU128},
};

use http::HeaderValue;

/// The name of a trace. Never all zero, since such a name is invalid.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(NonZeroU128);

/// The name of one step of a trace (`parent-id`). Never all zero, since such a name is invalid.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(NonZeroU64);

impl TraceId {
    /// The trace with this name; none for 0.
    #[must_use]
    pub fn new(id: u128) -> Option<Self> {
        NonZeroU128::new(id).map(Self)
    }

    /// The number that the name is.
    #[must_use]
    pub const fn to_u128(self) -> u128 {
        self.0.get()
    }

    /// The 32 digits as a header value.
    #[must_use]
    pub fn to_header(self) -> HeaderValue {
        ascii(&self.digits())
    }

    /// The same, as it travels through the tunnel.
    #[cfg(feature = "trace-id")]
    pub(crate) fn to_core(self) -> tunnel_core::TraceId {
        tunnel_core::TraceId::from_digits(self.digits())
    }

    /// The 32 digits.
    fn digits(self) -> [u8; 32] {
        let mut digits = [0; 32];
        write_hex(&self.0.get().to_be_bytes(), &mut digits);
        digits
    }
}

impl SpanId {
    /// The step with this name; none for 0.
    #[must_use]
    pub fn new(id: u64) -> Option<Self> {
        NonZeroU64::new(id).map(Self)
    }

    /// The number that the name is.
    #[must_use]
    pub const fn to_u64(self) -> u64 {
        self.0.get()
    }

    /// The 16 digits.
    fn digits(self) -> [u8; 16] {
        let mut digits = [0; 16];
        write_hex(&self.0.get().to_be_bytes(), &mut digits);
        digits
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(text(&self.digits()))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(text(&self.digits()))
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a request stands in its trace. [`TraceIdLayer`](crate::trace_id) puts it into the request's extensions.
///
/// ```
/// use tunnel_layers::TraceContext;
///
/// let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// let context = TraceContext::parse(text.as_bytes()).unwrap();
/// assert_eq!(context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
/// assert!(context.is_sampled());
/// assert_eq!(context.to_header(), text);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: TraceId,
    span_id: SpanId,
    flags: u8,
}

impl TraceContext {
    /// The caller may have recorded this trace.
    const SAMPLED: u8 = 1;
    /// At least the right half of the trace id is random (level 2 of the recommendation).
    const RANDOM: u8 = 2;
    /// The length of version 00, in bytes.
    const LEN: usize = 55;

    /// A context with these names.
    #[must_use]
    pub const fn new(trace_id: TraceId, span_id: SpanId, sampled: bool) -> Self {
        let flags = if sampled { Self::SAMPLED } else { 0 };
        Self {
            trace_id,
            span_id,
            flags,
        }
    }

    /// Reads a `traceparent`: version 00, or the known beginning of a newer one. None if it is invalid. Flags that are
    /// not defined are dropped.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (known, rest) = value.split_at_checked(Self::LEN)?;
        let dashes = [2, 35, 52].iter().all(|&at| known[at] == b'-');
        let version = hex(&known[..2])?;
        let longer = version > 0 && rest.first() == Some(&b'-');
        if !dashes || version == 0xff || !(rest.is_empty() || longer) {
            return None;
        }
        // The numbers fit: a pair of digits is a byte, sixteen are eight bytes.
        Some(Self {
            trace_id: TraceId::new(hex(&known[3..35])?)?,
            span_id: SpanId::new(hex(&known[36..52])? as u64)?,
            flags: hex(&known[53..])? as u8 & (Self::SAMPLED | Self::RANDOM),
        })
    }

    /// The value of a `traceparent`, version 00.
    #[must_use]
    pub fn to_header(&self) -> HeaderValue {
        let mut value = *b"00-00000000000000000000000000000000-0000000000000000-00";
        value[3..35].copy_from_slice(&self.trace_id.digits());
        value[36..52].copy_from_slice(&self.span_id.digits());
        write_hex(&[self.flags], &mut value[53..]);
        ascii(&value)
    }

    /// The name of the trace.
    #[must_use]
    pub const fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// The name of this step.
    #[must_use]
    pub const fn span_id(&self) -> SpanId {
        self.span_id
    }

    /// Whether whoever started the trace may have recorded it.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.flags & Self::SAMPLED != 0
    }

    /// The next step of the same trace.
    #[must_use]
    pub const fn child(&self, span_id: SpanId) -> Self {
        Self { span_id, ..*self }
    }

    /// The same context, saying that its trace id is random.
    #[must_use]
    pub const fn random(self) -> Self {
        Self {
            flags: self.flags | Self::RANDOM,
            ..self
        }
    }
}

/// The number that these lower case hexadecimal digits mean.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

/// Writes the two lower case digits of each byte. Each request has its ids written three times or more, so this goes past
/// `core::fmt`, and looks nothing up, so that several digits are made at once.
fn write_hex(bytes: &[u8], to: &mut [u8]) {
    const fn digit(value: u8) -> u8 {
        value + if value < 10 { b'0' } else { b'a' - 10 }
    }
    for (byte, pair) in bytes.iter().zip(to.as_chunks_mut().0) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
}

/// Digits are always text.
fn text(digits: &[u8]) -> &str {
    std::str::from_utf8(digits).unwrap_or_default()
}

/// Digits and dashes are always a valid value.
fn ascii(value: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(value).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0af7651916cd43dd8448eb211c80319c";

    fn parse(text: &str) -> Option<TraceContext> {
        TraceContext::parse(text.as_bytes())
    }

    #[test]
    fn a_newer_version_is_read_by_its_known_beginning() {
        let context = parse(&format!("cc-{ID}-b7ad6b7169203331-01-what-the-future-will-be")).unwrap();
        assert_eq!(context.to_header(), format!("00-{ID}-b7ad6b7169203331-01"));
        assert!(parse(&format!("cc-{ID}-b7ad6b7169203331-01")).is_some());
        assert!(parse(&format!("cc-{ID}-b7ad6b7169203331-01.x")).is_none());
    }

    #[test]
    fn unknown_flags_are_dropped() {
        let context = parse(&format!("00-{ID}-b7ad6b7169203331-ff")).unwrap();
        assert_eq!(context.to_header(), format!("00-{ID}-b7ad6b7169203331-03"));
        assert!(
            !parse(&format!("00-{ID}-b7ad6b7169203331-02"))
                .unwrap()
                .is_sampled()
        );
    }

    #[test]
    fn what_is_invalid_is_refused() {
        for text in [
            "",
            "00",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
            "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
            " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_child_stays_in_the_trace() {
        let parent = parse(&format!("00-{ID}-b7ad6b7169203331-01")).unwrap();
        let child = parent.child(SpanId::new(1).unwrap());
        assert_eq!(child.to_header(), format!("00-{ID}-0000000000000001-01"));
        assert_eq!(child.random().to_header(), format!("00-{ID}-0000000000000001-03"));
    }
}
