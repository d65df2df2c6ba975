//! Fields that are for the next hop only (RFC 9110, section 7.6.1).

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, response};

use super::{fault::Fault, forwarded, found::Found, framing};

/// Always for one hop, nominated or not, beside those that [`strip`] names. `TE` has a rule of its own.
static OTHER: [HeaderName; 6] = [
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authentication-info"),
    HeaderName::from_static("http2-settings"),
];

/// What `Connection` cannot take away: an outside client could use it to hide from the upstream what a proxy in front of us,
/// or we, have said. In lower case and in order.
const PROTECTED: &[&str] = &[
    "accept",
    "age",
    "authorization",
    "baggage",
    "cache-control",
    "cookie",
    "date",
    "etag",
    "expect",
    "expires",
    "forwarded",
    "grpc-accept-encoding",
    "grpc-encoding",
    "grpc-message",
    "grpc-status",
    "grpc-timeout",
    "host",
    "last-modified",
    "location",
    "origin",
    "pragma",
    "range",
    "referer",
    "set-cookie",
    "strict-transport-security",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "user-agent",
    "vary",
    "via",
    "www-authenticate",
    "x-request-id",
];

/// Families of [`PROTECTED`] names.
const PROTECTED_PREFIXES: &[&str] = &[
    "accept-",
    "access-control-",
    "content-",
    "if-",
    "sec-",
    "x-forwarded-",
    "x-tunnel-",
];

/// Cleans, in one pass over their names, the fields of a request that was admitted at the other end of the tunnel: the lengths say
/// one number, what is for one hop goes, and `host` is what its authority says.
pub(crate) fn clean_admitted(headers: &mut HeaderMap, host: Option<HeaderValue>) -> Result<(), Fault> {
    let found = Found::named(headers);
    if found.has(Found::CONTENT_LENGTH) {
        framing::settle_content_length(headers)?;
    }
    strip_found(headers, found);
    if let Some(host) = host {
        headers.insert(header::HOST, host);
    } else if found.has(Found::HOST) {
        headers.remove(header::HOST);
    }
    Ok(())
}

/// Removes what was for this hop from a request's fields, for whoever knows already what is there. `te: trailers` stays, because it
/// is a wish of the far client that HTTP/2 passes on (RFC 9113, section 8.2.2).
pub(super) fn strip_found(headers: &mut HeaderMap, found: Found) {
    strip(headers, found);
    if !found.has(Found::TE) {
        return;
    }
    let mut te = headers.get_all(header::TE).iter();
    match (te.next(), te.next()) {
        (None, _) => {}
        (Some(one), None) if one == "trailers" => {}
        _ if wants_trailers(headers) => {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        }
        _ => {
            headers.remove(header::TE);
        }
    }
}

/// Removes what was for one hop from the head of a response that comes back through the tunnel; both ends call it. Doing it
/// twice does no more than doing it once.
///
/// `Upgrade` stays in a 101: it says what whoever carries out the upgrade switches to.
///
/// ```
/// let response = http::Response::builder()
///     .header("connection", "close, x-hop")
///     .header("x-hop", "1")
///     .header("set-cookie", "a=1");
/// let (mut parts, ()) = response.body(())?.into_parts();
/// tunnel_core::admit::clean_response(&mut parts);
/// assert!(parts.headers.keys().eq(["set-cookie"]));
/// # Ok::<(), http::Error>(())
/// ```
pub fn clean_response(parts: &mut response::Parts) {
    let headers = &mut parts.headers;
    let found = Found::named(headers);
    let switches = parts.status == StatusCode::SWITCHING_PROTOCOLS;
    let upgrade = if switches && found.has(Found::UPGRADE) {
        headers.remove(header::UPGRADE)
    } else {
        None
    };
    strip(headers, found);
    if let Some(protocol) = upgrade {
        headers.insert(header::UPGRADE, protocol);
    }
    if found.has(Found::TE) {
        headers.remove(header::TE);
    }
    if found.has(Found::CONTENT_LENGTH) {
        clean_length(headers, parts.status, found);
    }
}

fn clean_length(headers: &mut HeaderMap, status: StatusCode, found: Found) {
    // RFC 9110, section 8.6: these have no content, and no length of it.
    let has_no_length = status.is_informational() || status == StatusCode::NO_CONTENT;
    // A length beside a transfer coding, or one that contradicts itself, says nothing (RFC 9112, section 6.3).
    let was_chunked = found.has(Found::TRANSFER_ENCODING);
    if has_no_length || was_chunked || framing::settle_content_length(headers).is_err() {
        headers.remove(header::CONTENT_LENGTH);
    }
}

/// Removes from trailers what has no business there (RFC 9110, section 6.5.1): fields for one hop, for framing, routing and
/// credentials, and forwarding fields. A server that merges trailers into the head would believe them.
pub fn clean_trailers(trailers: &mut HeaderMap) {
    static BARRED: [HeaderName; 8] = [
        header::TE,
        header::TRAILER,
        header::HOST,
        header::CONTENT_LENGTH,
        header::AUTHORIZATION,
        header::COOKIE,
        header::SET_COOKIE,
        header::EXPECT,
    ];
    let found = Found::of(trailers);
    strip(trailers, found);
    if found.has(Found::BARRED) {
        for name in &BARRED {
            trailers.remove(name);
        }
    }
    if found.has(Found::SPOOFABLE) {
        forwarded::remove_untrusted(trailers);
    }
}

fn strip(headers: &mut HeaderMap, found: Found) {
    if found.has(Found::CONNECTION) {
        strip_nominated(headers);
        headers.remove(header::CONNECTION);
    }
    if found.has(Found::TRANSFER_ENCODING) {
        headers.remove(header::TRANSFER_ENCODING);
    }
    if found.has(Found::UPGRADE) {
        headers.remove(header::UPGRADE);
    }
    if found.has(Found::OTHER_HOP) {
        for name in &OTHER {
            headers.remove(name);
        }
    }
}

fn strip_nominated(headers: &mut HeaderMap) {
    // Mostly there is none, or one that nominates nothing.
    let is_common = |value: &&HeaderValue| {
        let value = value.as_bytes();
        value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close")
    };
    let values = headers.get_all(header::CONNECTION).iter();
    let nominating: Vec<HeaderValue> = values.filter(|value| !is_common(value)).cloned().collect();
    for name in nominating.iter().flat_map(tokens) {
        if !is_protected(name) {
            headers.remove(name);
        }
    }
}

fn is_protected(name: &str) -> bool {
    let found = PROTECTED.binary_search_by(|candidate| {
        let name = name.bytes().map(|byte| byte.to_ascii_lowercase());
        candidate.bytes().cmp(name)
    });
    found.is_ok() || PROTECTED_PREFIXES.iter().any(|prefix| starts_with(name, prefix))
}

fn starts_with(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn wants_trailers(headers: &HeaderMap) -> bool {
    has_token(headers, &header::TE, "trailers")
}

/// Whether a list field has this member.
pub(super) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .flat_map(tokens)
        .any(|member| member.eq_ignore_ascii_case(token))
}

/// The members of a list field. A member that is not ASCII is no token, and is passed over.
fn tokens(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value
        .as_bytes()
        .split(|byte| *byte == b',')
        .filter_map(|member| std::str::from_utf8(member.trim_ascii()).ok())
        .filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_protected_names_are_in_order() {
        assert!(PROTECTED.is_sorted());
        assert!(is_protected("Cookie") && is_protected("X-Forwarded-Anything") && !is_protected("x-hop"));
    }
}
