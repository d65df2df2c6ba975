//! The fields that say how a message is framed, as a codec shows them.
//!
//! The codec has framed the message already. What is checked here is that nobody behind us could frame it in another way
//! (RFC 9112, section 6.3): a gateway that lets a doubtful framing pass helps to smuggle requests.

use http::{HeaderMap, HeaderValue, Version, header, request};

use super::{fault::Fault, found::Found};

/// Checks `Transfer-Encoding`, `Content-Length` and `Expect` of a request.
pub(super) fn check(parts: &request::Parts, found: Found) -> Result<(), Fault> {
    if found.has(Found::TRANSFER_ENCODING) && parts.version <= Version::HTTP_11 {
        check_transfer_encoding(&parts.headers, parts.version)?;
    }
    if found.has(Found::CONTENT_LENGTH) {
        check_content_length(&parts.headers)?;
    }
    if found.has(Found::EXPECT) {
        check_expect(&parts.headers)?;
    }
    Ok(())
}

fn check_transfer_encoding(headers: &HeaderMap, version: Version) -> Result<(), Fault> {
    let mut fields = headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(first) = fields.next() else {
        return Ok(());
    };
    if version < Version::HTTP_11 {
        return Err(Fault::malformed(
            "HTTP/1.0 has no Transfer-Encoding: use HTTP/1.1 or send Content-Length",
        ));
    }
    if fields.next().is_some() || !first.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") {
        return Err(Fault::malformed(
            "Transfer-Encoding is not exactly one `chunked`: send the body with no other transfer coding",
        ));
    }
    if headers.contains_key(header::CONTENT_LENGTH) {
        return Err(Fault::malformed(
            "the request has Transfer-Encoding and Content-Length: send one of them",
        ));
    }
    Ok(())
}

/// Checks that all fields of `Content-Length` say the same number, and says whether there are several.
pub(super) fn check_content_length(headers: &HeaderMap) -> Result<bool, Fault> {
    let mut fields = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = fields.next() else {
        return Ok(false);
    };
    if !is_length(first) {
        return Err(Fault::malformed(
            "Content-Length is not a number of bytes: send decimal digits",
        ));
    }
    let mut has_several = false;
    for other in fields {
        if other != first {
            return Err(Fault::malformed(
                "the request has several Content-Length fields that differ: send one",
            ));
        }
        has_several = true;
    }
    Ok(has_several)
}

/// [Checks](check_content_length) the fields of `Content-Length`, and makes one of them.
pub(super) fn settle_content_length(headers: &mut HeaderMap) -> Result<(), Fault> {
    if check_content_length(headers)? {
        fold_content_length(headers);
    }
    Ok(())
}

/// Decimal digits only, and a number that fits into 64 bits.
fn is_length(value: &HeaderValue) -> bool {
    let digits = value.as_bytes();
    let append = |number: u64, digit: &u8| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    };
    !digits.is_empty() && digits.iter().try_fold(0, append).is_some()
}

/// RFC 9110, section 10.1.1 knows one expectation, and lets a server refuse any other. We refuse, since servers that
/// disagree about an odd `Expect` disagree about where its request ends.
fn check_expect(headers: &HeaderMap) -> Result<(), Fault> {
    let mut fields = headers.get_all(header::EXPECT).iter();
    match (fields.next(), fields.next()) {
        (None, _) => Ok(()),
        (Some(one), None) if is_continue(one) => Ok(()),
        _ => Err(Fault::malformed(
            "Expect is not exactly one `100-continue`: send that or nothing",
        )),
    }
}

/// Whether this value of `Expect` asks for a 100 (Continue).
pub(crate) fn is_continue(value: &HeaderValue) -> bool {
    value.as_bytes().eq_ignore_ascii_case(b"100-continue")
}

/// Makes one field of several equal fields of `Content-Length`.
pub(super) fn fold_content_length(headers: &mut HeaderMap) {
    if headers.get_all(header::CONTENT_LENGTH).iter().nth(1).is_some()
        && let Some(first) = headers.get(header::CONTENT_LENGTH).cloned()
    {
        headers.insert(header::CONTENT_LENGTH, first);
    }
}

/// Puts the fields into the form in which they travel. `Transfer-Encoding` is left to the hop-by-hop rules.
pub(super) fn clean(parts: &mut request::Parts, found: Found) {
    if found.has(Found::CONTENT_LENGTH) {
        fold_content_length(&mut parts.headers);
    }
    // A server ignores the expectation of an HTTP/1.0 client, who could not read a 100 (RFC 9110, section 10.1.1).
    if found.has(Found::EXPECT) && parts.version < Version::HTTP_11 {
        parts.headers.remove(header::EXPECT);
    }
    if found.has(Found::COOKIE) && parts.version > Version::HTTP_11 {
        join_cookies(&mut parts.headers);
    }
}

/// HTTP/2 may split `cookie` for the sake of compression; everybody else sees one field (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(header::COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else {
        return;
    };
    let mut joined = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(crumb.as_bytes());
    }
    let sensitive = headers
        .get_all(header::COOKIE)
        .iter()
        .any(HeaderValue::is_sensitive);
    // Values that were valid one by one are valid when joined by valid bytes.
    if let Ok(mut joined) = HeaderValue::from_maybe_shared(bytes::Bytes::from(joined)) {
        joined.set_sensitive(sensitive);
        headers.insert(header::COOKIE, joined);
    }
}
