use http::{HeaderMap, HeaderName, Request, Version, header};

/// Whether the client will speak another protocol on this connection if we let it (RFC 9110, section 7.8), and may do so before it
/// has our answer. Requests for h2c do not count: what they ask for is never given, and they go on as what they are.
pub(super) fn is_asked<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    request.version() == Version::HTTP_11
        && has_token(headers, &header::CONNECTION, |token| {
            token.eq_ignore_ascii_case(b"upgrade")
        })
        && has_token(headers, &header::UPGRADE, |token| {
            !token.is_empty() && !token.eq_ignore_ascii_case(b"h2c")
        })
}

/// Whether a list field has such a member.
fn has_token(headers: &HeaderMap, name: &HeaderName, wanted: impl Fn(&[u8]) -> bool) -> bool {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|token| wanted(token.trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_1_1_with_both_fields_asks() {
        let asks = |version, connection: &str, upgrade: &str| {
            let request = Request::builder().version(version);
            let request = request
                .header("connection", connection)
                .header("upgrade", upgrade);
            is_asked(&request.body(()).unwrap())
        };
        let http11 = Version::HTTP_11;
        assert!(asks(http11, "keep-alive, Upgrade", "websocket"));
        assert!(asks(http11, "upgrade", "h2c, foo/1"));
        assert!(!asks(http11, "keep-alive", "websocket"));
        assert!(!asks(http11, "upgrade, http2-settings", "h2c"));
        assert!(!asks(http11, "upgrade", ""));
        assert!(!asks(Version::HTTP_10, "upgrade", "websocket"));
    }
}
