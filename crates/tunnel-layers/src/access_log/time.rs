//! Days and hours, as log lines tell them.

use std::{
    cell::Cell,
    time::{SystemTime, UNIX_EPOCH},
};

use http::Version;

use super::digits::pair;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// A time in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Civil {
    year: u64,
    month: u64,
    day: u64,
    second: u64,
}

impl Civil {
    /// Times before 1970 are its beginning.
    pub(super) fn of(time: SystemTime) -> Self {
        Self::at(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
    }

    /// So many seconds after the beginning of 1970.
    const fn at(seconds: u64) -> Self {
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        // Years begin with March here, so that a leap day is the last one; eras have 400 of them.
        let shifted = days + 719_468;
        let (era, of_era) = (shifted / 146_097, shifted % 146_097);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * march + 2) / 5 + 1;
        let month = if march < 10 { march + 3 } else { march - 9 };
        Self {
            year: era * 400 + year + (month <= 2) as u64,
            month,
            day,
            second,
        }
    }

    /// As in `10/Oct/2000:13:55:36 +0000`.
    pub(super) fn common(self) -> String {
        let Self { year, day, .. } = self;
        let month = MONTHS[(self.month - 1) as usize];
        let (hour, minute, second) = self.clock();
        format!("{day:02}/{month}/{year}:{hour:02}:{minute:02}:{second:02} +0000")
    }

    /// As in RFC 3339, to the second; years beyond 9999 have no text there.
    const fn rfc3339(self) -> [u8; 19] {
        let (hour, minute, second) = self.clock();
        let ([y1, y2], [y3, y4]) = (pair(self.year / 100), pair(self.year));
        let ([m1, m2], [d1, d2]) = (pair(self.month), pair(self.day));
        let ([h1, h2], [n1, n2], [s1, s2]) = (pair(hour), pair(minute), pair(second));
        [
            y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2,
        ]
    }

    const fn clock(self) -> (u64, u64, u64) {
        (self.second / 3_600, self.second / 60 % 60, self.second % 60)
    }
}

/// The last second that this thread has written, and its text.
type Second = (u64, [u8; 19]);

thread_local! {
    static SECOND: Cell<Second> = const { Cell::new((0, *b"1970-01-01T00:00:00")) };
}

/// Appends a time as in RFC 3339, to the millisecond. Times before 1970 are its beginning.
pub(super) fn rfc3339(line: &mut Vec<u8>, time: SystemTime) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    let (mut known, mut text) = SECOND.get();
    if known != seconds {
        (known, text) = (seconds, Civil::at(seconds).rfc3339());
        SECOND.set((known, text));
    }
    line.extend_from_slice(&text);
    let millis = u64::from(since.subsec_millis());
    let [tens, ones] = pair(millis);
    line.extend_from_slice(&[b'.', b'0' + (millis / 100) as u8, tens, ones, b'Z']);
}

pub(super) const fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        // As `date -u -d @SECONDS` says them.
        for (seconds, expected, common) in [
            (0, "1970-01-01T00:00:00.007Z", "01/Jan/1970:00:00:00 +0000"),
            (
                951_782_399,
                "2000-02-28T23:59:59.007Z",
                "28/Feb/2000:23:59:59 +0000",
            ),
            (
                951_782_400,
                "2000-02-29T00:00:00.007Z",
                "29/Feb/2000:00:00:00 +0000",
            ),
            (
                1_709_251_200,
                "2024-03-01T00:00:00.007Z",
                "01/Mar/2024:00:00:00 +0000",
            ),
            (
                1_798_761_599,
                "2026-12-31T23:59:59.007Z",
                "31/Dec/2026:23:59:59 +0000",
            ),
            (
                4_107_542_400,
                "2100-03-01T00:00:00.007Z",
                "01/Mar/2100:00:00:00 +0000",
            ),
        ] {
            let time = UNIX_EPOCH + Duration::new(seconds, 7_999_999);
            let mut line = Vec::new();
            rfc3339(&mut line, time);
            assert_eq!(String::from_utf8(line).unwrap(), expected);
            assert_eq!(Civil::of(time).common(), common);
        }
    }
}
