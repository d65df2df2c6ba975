//! Numbers as text, past `core::fmt`: a line has a dozen of them.

use std::{net::SocketAddr, time::Duration};

/// The numbers from 00 to 99.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

/// Two digits of a number below 100; of what is not, the last two.
pub(super) const fn pair(value: u64) -> [u8; 2] {
    PAIRS[(value % 100) as usize]
}

/// Appends a number.
pub(super) fn number(line: &mut Vec<u8>, mut value: u64) {
    if value < 10 {
        line.push(b'0' + value as u8);
        return;
    }
    let mut digits = [b'0'; 20];
    let mut first = digits.len();
    while value >= 10 {
        first -= 2;
        [digits[first], digits[first + 1]] = pair(value);
        value /= 100;
    }
    if value > 0 {
        first -= 1;
        digits[first] = b'0' + value as u8;
    }
    line.extend_from_slice(&digits[first..]);
}

/// Appends a time in seconds, to the microsecond.
pub(super) fn seconds(line: &mut Vec<u8>, time: Duration) {
    number(line, time.as_secs());
    let micros = u64::from(time.subsec_micros());
    let [[a, b], [c, d], [e, f]] = [pair(micros / 10_000), pair(micros / 100), pair(micros)];
    line.extend_from_slice(&[b'.', a, b, c, d, e, f]);
}

/// Appends an address and a port.
pub(super) fn address(line: &mut Vec<u8>, address: &SocketAddr) {
    let SocketAddr::V4(v4) = address else {
        line.extend_from_slice(address.to_string().as_bytes());
        return;
    };
    let [first, rest @ ..] = v4.ip().octets();
    number(line, first.into());
    for octet in rest {
        line.push(b'.');
        number(line, octet.into());
    }
    line.push(b':');
    number(line, v4.port().into());
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
        for value in [0, 7, 10, 99, 100, 101, 999, 1_000, 65_535, 1_234_567, u64::MAX] {
            assert_eq!(written(|line| number(line, value)), value.to_string());
        }
    }

    #[test]
    fn seconds_have_six_digits_behind_the_point() {
        for (time, expected) in [
            (Duration::ZERO, "0.000000"),
            (Duration::from_nanos(1_999), "0.000001"),
            (Duration::from_millis(1_500), "1.500000"),
            (Duration::from_micros(123_456), "0.123456"),
            (Duration::new(86_400, 999_999_999), "86400.999999"),
        ] {
            assert_eq!(written(|line| seconds(line, time)), expected);
        }
    }

    #[test]
    fn addresses_are_as_fmt_writes_them() {
        for text in [
            "192.0.2.10:80",
            "0.0.0.0:0",
            "255.255.255.255:65535",
            "[2001:db8::1]:443",
        ] {
            let parsed = text.parse().unwrap();
            assert_eq!(written(|line| address(line, &parsed)), text);
        }
    }
}
