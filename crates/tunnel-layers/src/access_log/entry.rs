use std::{fmt, net::SocketAddr, time::Duration, time::SystemTime};

use http::{HeaderName, HeaderValue, Method, StatusCode, Version};
use tunnel_core::{AgentId, GroupName, RequestId, TraceId};

use super::{json, text};
use crate::observe::Wire;

/// The longest text of one field, in bytes; what is longer is cut, and ends with `...`.
pub const MAX_FIELD_BYTES: usize = 2_048;

/// What is told of one exchange, when it is over. [`to_json`](Self::to_json) and [`to_common`](Self::to_common) make a line of it.
///
/// Texts that outsiders choose stand in it as they came: whoever writes them elsewhere has to escape them. `Debug` shows the line in
/// JSON.
#[non_exhaustive]
pub struct Entry<'a> {
    /// When the request came.
    pub time: SystemTime,
    /// The exchange's id in the tunnel, the same at both ends; none for what never went into it.
    pub request_id: Option<RequestId>,
    /// The trace that the request belongs to, the same at both ends.
    pub trace_id: Option<TraceId>,
    /// Who sent it.
    pub peer: Option<SocketAddr>,
    /// Who called, as it was authenticated.
    pub principal: Option<&'a str>,
    /// The method.
    pub method: &'a Method,
    /// The host, and the port if one was given.
    pub authority: &'a str,
    /// The path, and the query if the layer was [told so](super::AccessLogLayer::query); else `?redacted` in its place.
    pub path: &'a str,
    /// The version of HTTP.
    pub version: Version,
    /// What it spoke.
    pub protocol: Wire,
    /// The rule that it matched.
    pub rule: Option<&'a str>,
    /// The group that served it.
    pub group: Option<&'a GroupName>,
    /// The agent that served it: at an agent, this one.
    pub agent: Option<&'a AgentId>,
    /// The upstream that served it: its name at a gateway that reaches it itself.
    pub upstream: Option<&'a str>,
    /// The endpoint of the upstream: its name in the configuration, or its address.
    pub endpoint: Option<&'a str>,
    /// How often it was sent into the tunnel.
    pub attempts: u32,
    /// The status of the response; none if there was none.
    pub status: Option<StatusCode>,
    /// How a call of gRPC ended; none for all else, and for one that was not told how.
    pub grpc_status: Option<u32>,
    /// The bytes from the client.
    pub bytes_in: u64,
    /// The bytes to the client.
    pub bytes_out: u64,
    /// How long it took until the response's head was there.
    pub first_byte: Option<Duration>,
    /// How long it took in all.
    pub duration: Duration,
    /// What failed in the tunnel, by its [word](tunnel_core::Cause::word); `canceled` for what was given up.
    pub cause: Option<&'static str>,
    /// The headers of the request that the layer was [told](super::AccessLogLayer::headers) to log.
    pub headers: &'a [(HeaderName, HeaderValue)],
}

impl Entry<'_> {
    /// Appends the entry to `line` as one object of JSON, without a line feed. Fields that are absent are left out; times are in
    /// UTC (RFC 3339) and in seconds.
    pub fn to_json(&self, line: &mut Vec<u8>) {
        json::write(self, line);
    }

    /// Appends the entry to `line` in the combined log format of web servers, without a line feed, with the fields that it has
    /// no place for behind it as `name=value`. What could end a field is written as `\xHH`.
    pub fn to_common(&self, line: &mut Vec<u8>) {
        text::write(self, line);
    }

    /// The value of a header that is logged.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&HeaderValue> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value)
    }
}

impl fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = Vec::new();
        self.to_json(&mut line);
        f.write_str(&String::from_utf8_lossy(&line))
    }
}

/// As much of a text as is told, and whether that is not all.
pub(super) fn cut(text: &str) -> (&str, bool) {
    if text.len() <= MAX_FIELD_BYTES {
        return (text, false);
    }
    let mut end = MAX_FIELD_BYTES;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    (&text[..end], true)
}
