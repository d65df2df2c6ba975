//! Values as people write them: `10s`, `256KiB`.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, de};
use tunnel_core::limits::{Limit, Rate};

/// A time such as `10s`, `500ms`, `2m` or `1h`; more than zero, at most a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time(pub(super) Duration);

/// A number of bytes such as `256KiB`, `4MiB` or `8192`; more than zero, less than 4 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size(pub(super) u32);

/// A whole number of at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count(pub(super) u32);

/// A whole number, which may be zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Length(pub(super) u32);

/// A [`Time`], or `unlimited`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeLimit(pub(super) Limit<Duration>);

/// A [`Count`], or `unlimited`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CountLimit(pub(super) Limit<u32>);

/// The word for no bound, whatever the default is.
const UNLIMITED: &str = "unlimited";

/// A secret. `Debug` does not print it, and no error does.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(pub(super) String);

/// Longer times are mistakes.
const MAX_TIME: Duration = Duration::from_secs(365 * 24 * 3_600);

fn parse_time(text: &str) -> Result<Time, String> {
    let wrong = || {
        format!(
            "`{text}` is no time: write a whole number and one of the units ms, s, m, h, such as 500ms or 10s"
        )
    };
    let (number, unit) = split_unit(text);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let time = match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.saturating_mul(60)),
        "h" => Duration::from_secs(number.saturating_mul(3_600)),
        "" => {
            return Err(format!(
                "`{text}` has no unit: write {text}s for seconds or {text}ms for milliseconds"
            ));
        }
        _ => return Err(wrong()),
    };
    if time.is_zero() {
        return Err(format!("`{text}` is zero: write a time of at least 1ms"));
    }
    if time > MAX_TIME {
        return Err(format!("`{text}` is more than a year: write a shorter time"));
    }
    Ok(Time(time))
}

fn parse_size(text: &str) -> Result<Size, String> {
    let (number, unit) = split_unit(text);
    let factor = match unit {
        "" | "B" => Some(1_u64),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        _ => None,
    };
    let (Ok(number), Some(factor)) = (number.parse::<u64>(), factor) else {
        return Err(format!(
            "`{text}` is no size: write a whole number of bytes, or one with the unit KiB, MiB or GiB, such as 256KiB"
        ));
    };
    match u32::try_from(number.saturating_mul(factor)) {
        Ok(0) => Err(format!("`{text}` is zero: write a size of at least 1 byte")),
        Ok(bytes) => Ok(Size(bytes)),
        Err(_) => Err(format!("`{text}` is 4 GiB or more: write a smaller size")),
    }
}

fn parse_count(text: &str) -> Result<Count, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("`{text}` is no number of at least 1, such as 100")),
        Ok(count) => Ok(Count(count)),
    }
}

fn parse_length(text: &str) -> Result<Length, String> {
    let length = text.parse().map(Length);
    length.map_err(|_| format!("`{text}` is no whole number, such as 0 or 100"))
}

fn parse_time_limit(text: &str) -> Result<TimeLimit, String> {
    match text {
        UNLIMITED => Ok(TimeLimit(Limit::Unlimited)),
        _ => parse_time(text).map(|time| TimeLimit(Limit::To(time.0))),
    }
}

fn parse_count_limit(text: &str) -> Result<CountLimit, String> {
    match text {
        UNLIMITED => Ok(CountLimit(Limit::Unlimited)),
        _ => parse_count(text)
            .map(|count| CountLimit(Limit::To(count.0)))
            .map_err(|error| format!("{error}, and not `{UNLIMITED}`")),
    }
}

/// A rate such as `100/s`, `5/m` or `20/10s`.
pub(super) fn parse_rate(text: &str) -> Result<Rate, String> {
    let wrong = || {
        format!("`{text}` is no rate: write a number of requests and a time, such as 100/s, 5/m or 20/10s")
    };
    let (requests, period) = text.split_once('/').ok_or_else(wrong)?;
    let requests = parse_count(requests.trim()).map_err(|_| wrong())?;
    let period = match period.trim() {
        unit @ ("s" | "m" | "h") => parse_time(&format!("1{unit}")),
        period => parse_time(period),
    };
    Ok(Rate::new(requests.0, period.map_err(|_| wrong())?.0))
}

/// The same, or `unlimited`.
pub(super) fn parse_rate_limit(text: &str) -> Result<Limit<Rate>, String> {
    match text {
        UNLIMITED => Ok(Limit::Unlimited),
        _ => parse_rate(text).map(Limit::To),
    }
}

fn parse_secret(text: &str) -> Result<Secret, String> {
    Ok(Secret(text.to_owned()))
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

macro_rules! from_text {
    ($( $name:ident: $parse:ident, $expected:literal; )+) => { $(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;

                impl de::Visitor<'_> for Visitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        $parse(text).map_err(E::custom)
                    }
                }

                deserializer.deserialize_str(Visitor)
            }
        }
    )+ };
}

from_text! {
    Time: parse_time, "a time such as 10s";
    Size: parse_size, "a size such as 256KiB";
    Count: parse_count, "a number of at least 1";
    Length: parse_length, "a whole number";
    TimeLimit: parse_time_limit, "a time such as 10s, or unlimited,";
    CountLimit: parse_count_limit, "a number of at least 1, or unlimited,";
    Secret: parse_secret, "a text";
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, millis) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("1 s", 1_000),
        ] {
            assert_eq!(
                parse_time(text),
                Ok(Time(Duration::from_millis(millis))),
                "{text}"
            );
        }
        for (text, right) in [
            ("10", "write 10s"),
            ("", "such as 500ms"),
            ("ten", "such as 500ms"),
            ("10d", "such as 500ms"),
            ("-1s", "such as 500ms"),
            ("1.5s", "such as 500ms"),
            ("0s", "at least 1ms"),
            ("99999h", "more than a year"),
            ("18446744073709551615h", "more than a year"),
        ] {
            let error = parse_time(text).unwrap_err();
            assert!(error.contains(right), "{text}: {error}");
        }
    }

    #[test]
    fn sizes_may_have_units() {
        for (text, bytes) in [
            ("8192", 8_192),
            ("7B", 7),
            ("256KiB", 262_144),
            ("4MiB", 4_194_304),
            ("1 GiB", 1 << 30),
        ] {
            assert_eq!(parse_size(text), Ok(Size(bytes)), "{text}");
        }
        for (text, right) in [
            ("256kb", "such as 256KiB"),
            ("", "such as 256KiB"),
            ("0", "at least 1 byte"),
            ("4GiB", "smaller"),
            ("18446744073709551615GiB", "smaller"),
        ] {
            let error = parse_size(text).unwrap_err();
            assert!(error.contains(right), "{text}: {error}");
        }
    }

    #[test]
    fn a_count_is_at_least_one() {
        assert_eq!(parse_count("1"), Ok(Count(1)));
        for text in ["0", "-1", "x", "4294967296"] {
            assert!(parse_count(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_are_numbers_and_times() {
        let ten = Duration::from_secs(10);
        for (text, rate) in [
            ("100/s", Rate::per_second(100)),
            ("5/m", Rate::per_minute(5)),
            ("1000 / h", Rate::per_hour(1_000)),
            ("20/10s", Rate::new(20, ten)),
        ] {
            assert_eq!(parse_rate(text), Ok(rate), "{text}");
        }
        for text in [
            "", "100", "/s", "0/s", "-1/s", "1.5/s", "100/", "100/d", "100/0s", "100/10", "1/s/s",
        ] {
            let error = parse_rate(text).unwrap_err();
            assert!(error.contains("such as 100/s"), "{text}: {error}");
        }
        assert_eq!(parse_rate_limit("unlimited"), Ok(Limit::Unlimited));
    }

    #[test]
    fn some_bounds_may_be_none() {
        assert_eq!(parse_time_limit("unlimited"), Ok(TimeLimit(Limit::Unlimited)));
        let second = Duration::from_secs(1);
        assert_eq!(parse_time_limit("1s"), Ok(TimeLimit(Limit::To(second))));
        assert!(parse_time_limit("0s").is_err() && parse_time("unlimited").is_err());
        assert_eq!(parse_count_limit("unlimited"), Ok(CountLimit(Limit::Unlimited)));
        assert_eq!(parse_count_limit("7"), Ok(CountLimit(Limit::To(7))));
        assert!(parse_count_limit("0").unwrap_err().contains("`unlimited`"));
        assert_eq!(parse_length("0"), Ok(Length(0)));
        assert!(parse_length("-1").is_err());
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret("hush".to_owned())), "Secret(..)");
    }
}
