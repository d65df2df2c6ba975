//! Numbers as text, past `core::fmt`: a line has a dozen of them.

use std::time::Duration;

/// Appends a number.
pub(super) fn number(line: &mut Vec<u8>, value: u64) {
    padded(line, value, 1);
}

/// Appends a number with zeros before it, so that it has so many digits at least, of which there are 20 at most.
pub(super) fn padded(line: &mut Vec<u8>, mut value: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut first = digits.len();
    while value > 0 {
        first -= 1;
        digits[first] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    let first = first.min(digits.len() - width.min(digits.len()));
    line.extend_from_slice(&digits[first..]);
}

/// Appends a time in seconds, to the microsecond.
pub(super) fn seconds(line: &mut Vec<u8>, time: Duration) {
    number(line, time.as_secs());
    line.push(b'.');
    padded(line, time.subsec_micros().into(), 6);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut line = Vec::new();
        write(&mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn numbers_are_as_fmt_writes_them() {
        for value in [0, 7, 10, 99, 1_234_567, u64::MAX] {
            assert_eq!(written(|line| number(line, value)), value.to_string());
            assert_eq!(written(|line| padded(line, value, 6)), format!("{value:06}"));
        }
    }

    #[test]
    fn seconds_have_six_digits_behind_the_point() {
        for (time, expected) in [
            (Duration::ZERO, "0.000000"),
            (Duration::from_nanos(1_999), "0.000001"),
            (Duration::from_millis(1_500), "1.500000"),
            (Duration::new(86_400, 999_999_999), "86400.999999"),
        ] {
            assert_eq!(written(|line| seconds(line, time)), expected);
        }
    }
}
