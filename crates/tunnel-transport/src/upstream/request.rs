//! A request head, as an upstream of either version wants it.

use http::{
    HeaderMap, HeaderValue, Method, Request, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, SEC_WEBSOCKET_KEY, TE, TRANSFER_ENCODING, UPGRADE},
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body::Body;
use tunnel_core::TunnelError;

use crate::upstream::{error, target::Target, upload::Upload};

/// Whether the body of this request waits for a 100 (RFC 9110, section 10.1.1).
pub(super) fn expects_continue(headers: &HeaderMap) -> bool {
    headers
        .get(EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Origin-form with `Host` (RFC 9112, section 3.2.1), and framing that no method takes away.
pub(super) fn for_http1(request: &mut Request<Upload>, target: &Target, preserve_host: bool) {
    let uri = std::mem::take(request.uri_mut()).into_parts();
    let path = uri.path_and_query.unwrap_or(PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(path);
    *request.version_mut() = Version::HTTP_11;

    let headers = request.headers_mut();
    if !preserve_host {
        headers.insert(HOST, target.field.clone());
    } else if !headers.contains_key(HOST) {
        let field = uri
            .authority
            .and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
        headers.insert(HOST, field.unwrap_or_else(|| target.field.clone()));
    }
    // RFC 9110, section 10.1.4: who sends TE says that it is for this connection. The head may have been made before, for another
    // endpoint.
    if headers.contains_key(TE) && headers.get_all(CONNECTION).iter().all(|value| value != "te") {
        headers.append(CONNECTION, HeaderValue::from_static("te"));
    }
    if may_lose_its_body(request) {
        let chunked = HeaderValue::from_static("chunked");
        request.headers_mut().insert(TRANSFER_ENCODING, chunked);
    }
}

/// hyper gives GET and HEAD no body of unknown length unless told so.
fn may_lose_its_body(request: &Request<Upload>) -> bool {
    let body = request.body();
    matches!(*request.method(), Method::GET | Method::HEAD)
        && !body.is_end_stream()
        && body.size_hint().exact().is_none()
        && !request.headers().contains_key(CONTENT_LENGTH)
}

/// `:authority`, and no `host` beside it (RFC 9113, section 8.3.1).
pub(super) fn for_http2(
    request: &mut Request<Upload>,
    target: &Target,
    preserve_host: bool,
) -> Result<(), TunnelError> {
    let authority = match authority_of(request.uri(), request.headers())? {
        Some(authority) if preserve_host => authority,
        _ => target.authority.clone(),
    };
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(match request.uri().scheme() {
        // Servers compare it with their own connection.
        _ if target.is_tls => Scheme::HTTPS,
        Some(scheme) => scheme.clone(),
        None => Scheme::HTTP,
    });
    parts.authority = Some(authority);
    parts.path_and_query = Some(path_of(request.uri()));
    *request.uri_mut() = Uri::from_parts(parts).map_err(error::malformed)?;
    *request.version_mut() = Version::HTTP_2;
    request.headers_mut().remove(HOST);
    Ok(())
}

/// Asks to switch to `protocol` (RFC 9110, section 7.8). Call it after [`for_http1`].
pub(super) fn upgrade_http1(request: &mut Request<Upload>, protocol: HeaderValue) {
    let headers = request.headers_mut();
    // One field: there are servers that read the first one only.
    let connection = if headers.contains_key(TE) {
        "upgrade, te"
    } else {
        "upgrade"
    };
    headers.insert(CONNECTION, HeaderValue::from_static(connection));
    headers.insert(UPGRADE, protocol);
    remove_content_fields(headers);
}

/// Asks to switch to `protocol` by extended CONNECT (RFC 8441, sections 4 and 5). Call it after [`for_http2`].
///
/// # Errors
///
/// [`Cause::Malformed`](tunnel_core::Cause::Malformed) if no `:protocol` can say it.
pub(super) fn upgrade_http2(
    request: &mut Request<Upload>,
    protocol: &HeaderValue,
) -> Result<(), TunnelError> {
    let name = protocol.to_str().map_err(error::malformed)?;
    *request.method_mut() = Method::CONNECT;
    request.extensions_mut().insert(hyper::ext::Protocol::from(name));
    let headers = request.headers_mut();
    headers.remove(CONNECTION);
    headers.remove(UPGRADE);
    headers.remove(SEC_WEBSOCKET_KEY);
    remove_content_fields(headers);
    Ok(())
}

/// A request for an upgrade has no content.
fn remove_content_fields(headers: &mut HeaderMap) {
    headers.remove(CONTENT_LENGTH);
    headers.remove(EXPECT);
}

fn authority_of(uri: &Uri, headers: &HeaderMap) -> Result<Option<Authority>, TunnelError> {
    if let Some(authority) = uri.authority() {
        return Ok(Some(authority.clone()));
    }
    headers
        .get(HOST)
        .map(|host| Authority::try_from(host.as_bytes()).map_err(error::malformed))
        .transpose()
}

fn path_of(uri: &Uri) -> PathAndQuery {
    uri.path_and_query()
        .cloned()
        .unwrap_or_else(|| PathAndQuery::from_static("/"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http_body_util::{Empty, channel::Channel};

    use super::*;
    use crate::upstream::gate::Gate;

    fn target() -> Target {
        Target::parse("http://upstream:3000").unwrap()
    }

    fn request(uri: &str, headers: &[(&'static str, &'static str)]) -> Request<Upload> {
        let body = Upload::new(Empty::<Bytes>::new(), Gate::new(false), Duration::ZERO);
        let mut request = Request::new(body);
        *request.uri_mut() = uri.parse().unwrap();
        for (name, value) in headers {
            request
                .headers_mut()
                .append(*name, HeaderValue::from_static(value));
        }
        request
    }

    #[test]
    fn http1_is_origin_form_with_the_host_that_came() {
        for (uri, headers, preserve, host) in [
            (
                "https://out.example:8443/a%2f?b=%20",
                &[][..],
                true,
                "out.example:8443",
            ),
            (
                "https://out.example/a%2f?b=%20",
                &[("host", "out.example")],
                true,
                "out.example",
            ),
            (
                "https://out.example/a%2f?b=%20",
                &[("host", "out.example")],
                false,
                "upstream:3000",
            ),
            ("/a%2f?b=%20", &[], true, "upstream:3000"),
        ] {
            let mut request = request(uri, headers);
            for_http1(&mut request, &target(), preserve);
            assert_eq!(request.uri(), "/a%2f?b=%20");
            assert_eq!(request.headers()[HOST], host, "{uri}");
            assert_eq!(request.headers().get_all(HOST).iter().count(), 1);
        }
    }

    #[test]
    fn http1_says_that_te_is_for_the_connection() {
        let mut request = request("http://a/", &[("te", "trailers")]);
        for_http1(&mut request, &target(), true);
        assert_eq!(request.headers()[CONNECTION], "te");
    }

    #[test]
    fn http1_keeps_the_body_of_a_get() {
        let (_sender, stream) = Channel::<Bytes>::new(1);
        let upload = Upload::new(stream, Gate::new(false), Duration::ZERO);
        let mut with = request("http://a/", &[]).map(|_| upload);
        for_http1(&mut with, &target(), true);
        assert_eq!(with.headers()[TRANSFER_ENCODING], "chunked");

        let mut without = request("http://a/", &[]);
        for_http1(&mut without, &target(), true);
        assert!(!without.headers().contains_key(TRANSFER_ENCODING));
    }

    #[test]
    fn http2_has_an_authority_and_no_host() {
        for (uri, headers, preserve, authority) in [
            (
                "https://out.example/a?b",
                &[("host", "out.example")][..],
                true,
                "out.example",
            ),
            ("/a?b", &[("host", "out.example")], true, "out.example"),
            ("/a?b", &[("host", "out.example")], false, "upstream:3000"),
            ("/a?b", &[], true, "upstream:3000"),
        ] {
            let mut request = request(uri, headers);
            for_http2(&mut request, &target(), preserve).unwrap();
            assert_eq!(request.uri().authority().unwrap(), authority, "{uri}");
            assert_eq!(request.uri().path_and_query().unwrap(), "/a?b");
            assert!(!request.headers().contains_key(HOST));
        }
    }
}
