//! `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers): lists of structured fields (RFC 9651), with
//! an item for each policy.

use std::{fmt::Write, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use tunnel_core::limits::Rate;

use super::limiter::{Limiter, Verdict};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// What `RateLimit-Policy` says of a limit: how many requests (`q`) in how many seconds (`w`). A period that is not of whole
/// seconds cannot be told, and is left out.
pub(super) fn policy(name: &str, rate: Rate) -> HeaderValue {
    let mut text = quoted(name);
    let _ = write!(text, ";q={}", rate.requests());
    let period = rate.period();
    if period.subsec_nanos() == 0 {
        let _ = write!(text, ";w={}", period.as_secs());
    }
    value(&text)
}

/// Adds what was decided, beside what other layers and the service behind them say of theirs.
pub(super) fn put(headers: &mut HeaderMap, name: &str, limiter: &Limiter, verdict: Verdict) {
    let (remaining, reset) = match verdict {
        Verdict::Within { remaining, reset } => (remaining, reset),
        Verdict::Beyond { retry_after } => (0, retry_after),
    };
    let mut text = quoted(name);
    let _ = write!(text, ";r={remaining};t={}", whole_seconds(reset));
    headers.append(POLICY, limiter.policy().clone());
    headers.append(LIMIT, value(&text));
}

/// Rounded up, as `Retry-After` is, so that both name the same moment.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}

/// A string of structured fields (RFC 9651, section 3.3.3), which has printable ASCII alone.
fn quoted(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 32);
    text.push('"');
    for c in name.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            ' '..='~' => text.push(c),
            _ => text.push('_'),
        }
    }
    text.push('"');
    text
}

fn value(text: &str) -> HeaderValue {
    // It is printable ASCII by what makes it.
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_tells_what_can_be_told() {
        let told = |name, rate| policy(name, rate).to_str().unwrap().to_owned();
        assert_eq!(
            told("default", Rate::per_second(5).burst(9)),
            "\"default\";q=5;w=1"
        );
        assert_eq!(
            told("a\"b\\é\n", Rate::per_minute(1)),
            "\"a\\\"b\\\\__\";q=1;w=60"
        );
        let odd = Rate::new(3, Duration::from_millis(1_500));
        assert_eq!(told("", odd), "\"\";q=3");
    }
}
