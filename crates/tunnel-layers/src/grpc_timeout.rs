//! The field `grpc-timeout` (gRPC over HTTP/2, "Requests").

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;
use tunnel_core::{Cause, Initiator, Sent, TunnelError};

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The most that its digits can say.
const MAX_VALUE: u128 = 99_999_999;

/// The units, and the nanoseconds of each.
const UNITS: [(u8, u128); 6] = [
    (b'n', 1),
    (b'u', 1_000),
    (b'm', 1_000_000),
    (b'S', 1_000_000_000),
    (b'M', 60 * 1_000_000_000),
    (b'H', 3_600 * 1_000_000_000),
];

/// When a gRPC call has to be over, in the extensions of its request: whoever sends the request on after a wait tells what is
/// left then.
#[derive(Clone, Copy)]
pub(crate) struct End(pub(crate) Instant);

/// What the caller gives the call.
///
/// # Errors
///
/// [`Cause::Malformed`], for a field that is not 1 to 8 digits and a unit, or stands there more than once.
pub(crate) fn read(headers: &HeaderMap) -> Result<Option<Duration>, TunnelError> {
    let mut fields = headers.get_all(GRPC_TIMEOUT).iter();
    let Some(first) = fields.next() else {
        return Ok(None);
    };
    let only = fields.next().is_none().then_some(first);
    let time = only.and_then(|value| parse(value.as_bytes()));
    time.map(Some).ok_or_else(malformed)
}

fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    let (_, nanos) = UNITS.iter().find(|(name, _)| name == unit)?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value: u128 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let nanos = value * nanos;
    let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
    let rest = u32::try_from(nanos % 1_000_000_000).ok()?;
    Some(Duration::new(seconds, rest))
}

fn malformed() -> TunnelError {
    let text =
        "`grpc-timeout` is not 1 to 8 digits and one of the units H, M, S, m, u and n: send one such as 5S";
    TunnelError::new(Cause::Malformed, Initiator::Caller, text).with_sent(Sent::No)
}

/// Tells in the head how much time is left until `end`.
pub(crate) fn write(headers: &mut HeaderMap, end: Instant) {
    headers.insert(
        GRPC_TIMEOUT,
        format(end.saturating_duration_since(Instant::now())),
    );
}

/// Tells in the head how much time is left now, unless somebody has taken the field away or made it shorter.
#[cfg(feature = "chunk")]
pub(crate) fn refresh(parts: &mut http::request::Parts) {
    let Some(&End(end)) = parts.extensions.get() else {
        return;
    };
    let left = end.saturating_duration_since(Instant::now());
    if matches!(read(&parts.headers), Ok(Some(told)) if left < told) {
        parts.headers.insert(GRPC_TIMEOUT, format(left));
    }
}

/// In the finest unit in which it can be told, rounded down, and never zero, which not everybody takes.
fn format(left: Duration) -> HeaderValue {
    let in_unit = |nanos: u128| (left.as_nanos() / nanos).max(1);
    let (unit, value) = UNITS
        .into_iter()
        .map(|(unit, nanos)| (unit, in_unit(nanos)))
        .find(|(_, value)| *value <= MAX_VALUE)
        .unwrap_or((b'H', MAX_VALUE));
    let text = format!("{value}{}", char::from(unit));
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("1n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&'static str]) -> Result<Option<Duration>, Cause> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(GRPC_TIMEOUT, HeaderValue::from_static(value));
        }
        read(&headers).map_err(|error| error.cause())
    }

    #[test]
    fn every_unit_is_read() {
        for (text, time) in [
            ("1H", Duration::from_secs(3_600)),
            ("2M", Duration::from_secs(120)),
            ("3S", Duration::from_secs(3)),
            ("4m", Duration::from_millis(4)),
            ("5u", Duration::from_micros(5)),
            ("6n", Duration::from_nanos(6)),
            ("0n", Duration::ZERO),
            ("00000001S", Duration::from_secs(1)),
            ("99999999H", Duration::from_secs(99_999_999 * 3_600)),
        ] {
            assert_eq!(of(&[text]), Ok(Some(time)), "{text}");
        }
        assert_eq!(of(&[]), Ok(None));
    }

    #[test]
    fn anything_else_is_malformed() {
        for text in [
            "",
            "S",
            "1",
            "1s",
            "1h",
            "-1S",
            "+1S",
            "1.5S",
            " 1S",
            "1 S",
            "1SS",
            "123456789S",
        ] {
            assert_eq!(of(&[text]), Err(Cause::Malformed), "{text:?}");
        }
        assert_eq!(of(&["1S", "1S"]), Err(Cause::Malformed));
    }

    #[test]
    fn what_is_left_is_told_as_finely_as_it_goes_and_never_as_more() {
        for (left, text) in [
            (Duration::ZERO, "1n"),
            (Duration::from_nanos(99_999_999), "99999999n"),
            (Duration::from_nanos(100_000_999), "100000u"),
            (Duration::from_secs(5), "5000000u"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_secs(100_000), "100000S"),
            (Duration::from_secs(100_000_000), "1666666M"),
            (Duration::from_secs(99_999_999 * 3_600), "99999999H"),
            (Duration::MAX, "99999999H"),
        ] {
            assert_eq!(format(left), text);
            let told = parse(text.as_bytes()).unwrap();
            assert!(told <= left.max(Duration::from_nanos(1)), "{text}");
        }
    }
}
