//! What stands in `Authorization` (RFC 9110, section 11.6.2).

use http::{HeaderMap, header};

/// The longest token, in bytes; less than what fits into a head, and more than what issuers make.
pub(super) const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The field came more than once. It has one value, so one of the two could be meant for somebody else.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Twice;

/// What follows the scheme, if the request's credentials are of this one. `scheme` is written in lower case.
pub(super) fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Result<Option<&'a [u8]>, Twice> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Twice);
    }
    let value = value.as_bytes();
    let end = value.iter().position(|&byte| byte == b' ').unwrap_or(value.len());
    let (name, rest) = value.split_at(end);
    Ok(name
        .eq_ignore_ascii_case(scheme.as_bytes())
        .then(|| rest.trim_ascii()))
}

/// The bytes as text, if they are a `token68` (RFC 9110, section 11.2), which is also how RFC 6750 writes tokens.
pub(super) fn token68(bytes: &[u8]) -> Option<&str> {
    /// The signs of a `token68`, but for the `=` at its end: a token has a thousand of them, or more.
    static FITS: [bool; 256] = {
        let mut fits = [false; 256];
        let mut byte = 0;
        while byte < fits.len() {
            fits[byte] = (byte as u8).is_ascii_alphanumeric()
                || matches!(byte as u8, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
            byte += 1;
        }
        fits
    };
    let fits = |byte: &u8| FITS[usize::from(*byte)];
    let len = bytes.iter().take_while(|byte| fits(byte)).count();
    let padding = bytes[len..].iter().all(|&byte| byte == b'=');
    if len == 0 || !padding {
        return None;
    }
    std::str::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn credentials_come_out_as_they_went_in(
            scheme in "[A-Za-z]{1,10}",
            spaces in " {1,3}",
            token in "[A-Za-z0-9._~+/-]{1,40}={0,2}",
        ) {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, format!("{scheme}{spaces}{token}").parse().unwrap());
            let found = credentials(&headers, &scheme.to_ascii_lowercase()).unwrap().unwrap();
            prop_assert_eq!(token68(found), Some(&*token));
            prop_assert_eq!(credentials(&headers, "other-scheme"), Ok(None));
        }

        #[test]
        fn any_value_is_read_or_not(value in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let mut headers = HeaderMap::new();
                headers.insert(AUTHORIZATION, value);
                if let Some(token) = credentials(&headers, "bearer").unwrap().and_then(token68) {
                    prop_assert!(token.bytes().all(|byte| byte.is_ascii_graphic()));
                    prop_assert!(!token.is_empty());
                }
            }
        }
    }
}
