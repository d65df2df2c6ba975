//! Numbers as people read them.

/// A time in milliseconds, such as `3.2s`, `5m 10s` or `2d 4h`.
pub(super) fn time(ms: u64) -> String {
    let (seconds, minutes, hours, days) = (ms / 1_000, ms / 60_000, ms / 3_600_000, ms / 86_400_000);
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..60_000 => format!("{seconds}.{}s", ms % 1_000 / 100),
        60_000..3_600_000 => format!("{minutes}m {}s", seconds % 60),
        3_600_000..86_400_000 => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

/// A time in microseconds.
pub(super) fn micros(us: Option<u64>) -> String {
    match us {
        None => "-".to_owned(),
        Some(us @ 0..1_000) => format!("{us}us"),
        Some(us @ 1_000..1_000_000) => format!("{}.{}ms", us / 1_000, us % 1_000 / 100),
        Some(us) => time(us / 1_000),
    }
}

/// A number of bytes, such as `12.5 MiB`.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes.saturating_mul(10) / 1_024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1_024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// Names with commas, or a dash; no more than so many.
pub(super) fn names(names: &[String], most: usize) -> String {
    match names.len() {
        0 => "-".to_owned(),
        len if len > most => format!("{} and {} more", names[..most].join(","), len - most),
        _ => names.join(","),
    }
}

/// A version of a configuration, or a dash for none.
pub(super) fn version(version: u64) -> String {
    match version {
        0 => "-".to_owned(),
        version => version.to_string(),
    }
}

/// Milliseconds of a time such as `500ms`, `30s`, `5m` or `1h`.
pub(super) fn parse_time(text: &str) -> Result<u64, String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let time = number.parse::<u64>().ok().zip(factor);
    time.and_then(|(number, factor)| number.checked_mul(factor))
        .ok_or_else(|| "write a whole number and one of the units ms, s, m, h, such as 30s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_units() {
        for (ms, text) in [
            (0, "0ms"),
            (999, "999ms"),
            (3_250, "3.2s"),
            (310_000, "5m 10s"),
            (3_661_000, "1h 1m"),
            (187_200_000, "2d 4h"),
        ] {
            assert_eq!(time(ms), text);
        }
        for (number, text) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_536, "1.5 KiB"),
            (13_107_200, "12.5 MiB"),
        ] {
            assert_eq!(bytes(number), text);
        }
        assert_eq!(bytes(u64::MAX), "1638.3 PiB");
        for (us, text) in [
            (None, "-"),
            (Some(900), "900us"),
            (Some(1_250), "1.2ms"),
            (Some(2_000_000), "2.0s"),
        ] {
            assert_eq!(micros(us), text);
        }
        let all = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        assert_eq!(
            (names(&[], 2), names(&all, 3), names(&all, 2)),
            ("-".into(), "a,b,c".into(), "a,b and 1 more".into())
        );
    }

    #[test]
    fn times_are_read() {
        for (text, ms) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(parse_time(text), Ok(ms));
        }
        for wrong in ["", "5", "s", "-1s", "1.5s", "5d", "99999999999999999999s"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }
}
