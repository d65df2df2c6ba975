//! The content types of gRPC-Web, and those of gRPC that they stand for.

use http::{HeaderMap, HeaderValue, Method, Request, header};

/// What they all begin with.
const PREFIX: &str = "application/grpc-web";

/// How the messages of a request or a response are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Binary,
    /// In base64.
    Text,
}

impl Encoding {
    /// The name in the form that tonic-web knows.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Binary => "application/grpc-web",
            Self::Text => "application/grpc-web-text",
        }
    }

    /// How the answer to a request is written: as its `accept` says, else like the request itself.
    pub(super) fn accepted(headers: &HeaderMap, content: Self) -> Self {
        let named = headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .find_map(|item| parse(item.trim()));
        named.map_or(content, |(encoding, _)| encoding)
    }
}

/// Whether this is a call of gRPC-Web, and how it is written. The other part is what gRPC's own content type ends with, such
/// as `+proto`, or nothing.
pub(super) fn of<B>(request: &Request<B>) -> Option<(Encoding, &str)> {
    if request.method() != Method::POST {
        return None;
    }
    let content_type = request.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
    parse(content_type)
}

/// Takes a content type of gRPC-Web apart. Its case does not matter (RFC 9110, section 8.3.1).
fn parse(content_type: &str) -> Option<(Encoding, &str)> {
    let rest = strip(content_type, PREFIX)?;
    let (encoding, rest) = match strip(rest, "-text") {
        Some(rest) => (Encoding::Text, rest),
        None => (Encoding::Binary, rest),
    };
    let is_whole = rest.is_empty() || rest.starts_with(['+', ';', ' ']);
    is_whole.then_some((encoding, rest))
}

fn strip<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// gRPC's content type with this end.
pub(super) fn grpc(end: &str) -> HeaderValue {
    HeaderValue::try_from(format!("application/grpc{end}")).unwrap_or(tonic::metadata::GRPC_CONTENT_TYPE)
}

/// gRPC-Web's content type for a response of gRPC with these headers. The format of its messages is named always, because
/// some clients want it so; without a name it is `+proto` (gRPC over HTTP/2, "Requests").
pub(super) fn web(response: &HeaderMap, encoding: Encoding) -> HeaderValue {
    let content_type = response
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let end = match content_type.and_then(|value| strip(value, "application/grpc")) {
        Some(end) if end.starts_with('+') => end,
        _ => "+proto",
    };
    let name = encoding.name();
    HeaderValue::try_from(format!("{name}{end}")).unwrap_or(HeaderValue::from_static(PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn the_content_types_of_calls() {
        for (content_type, expected) in [
            ("application/grpc-web", Some((Encoding::Binary, ""))),
            ("application/grpc-web+proto", Some((Encoding::Binary, "+proto"))),
            ("application/grpc-web-text", Some((Encoding::Text, ""))),
            ("Application/gRPC-Web-Text+json", Some((Encoding::Text, "+json"))),
            (
                "application/grpc-web;charset=x",
                Some((Encoding::Binary, ";charset=x")),
            ),
            ("application/grpc-website", None),
            ("application/grpc-web-texts", None),
            ("application/grpc", None),
            ("application/grpc+proto", None),
            ("text/html", None),
            ("", None),
        ] {
            let mut request = Request::post("/").body(()).unwrap();
            *request.headers_mut() = headers(header::CONTENT_TYPE, content_type);
            assert_eq!(of(&request), expected, "{content_type}");
            *request.method_mut() = Method::GET;
            assert_eq!(of(&request), None);
        }
    }

    #[test]
    fn the_answer_is_written_as_asked_for() {
        for (accept, binary, text) in [
            ("application/grpc-web-text", Encoding::Text, Encoding::Text),
            ("application/grpc-web+proto", Encoding::Binary, Encoding::Binary),
            ("*/*", Encoding::Binary, Encoding::Text),
            (
                "text/html, application/grpc-web-text;q=1",
                Encoding::Text,
                Encoding::Text,
            ),
        ] {
            let headers = headers(header::ACCEPT, accept);
            assert_eq!(Encoding::accepted(&headers, Encoding::Binary), binary, "{accept}");
            assert_eq!(Encoding::accepted(&headers, Encoding::Text), text, "{accept}");
        }
    }

    #[test]
    fn content_types_keep_the_format_of_messages() {
        assert_eq!(grpc("+json"), "application/grpc+json");
        for (theirs, ours) in [
            ("application/grpc", "application/grpc-web-text+proto"),
            ("application/grpc+json", "application/grpc-web-text+json"),
            ("application/grpc;x=y", "application/grpc-web-text+proto"),
        ] {
            assert_eq!(web(&headers(header::CONTENT_TYPE, theirs), Encoding::Text), ours);
        }
    }
}
