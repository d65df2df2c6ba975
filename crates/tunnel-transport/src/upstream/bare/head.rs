//! Heads of HTTP/1.1: every request without a body, and answers of the plainest kind.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{self, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING},
};
use httparse::{ParserConfig, Status};
use tunnel_core::admit;

/// As many fields as hyper takes.
const MAX_FIELDS: usize = 100;

/// Writes the head of a request in origin-form, as hyper writes it. Says whether it asks the upstream to close the connection behind it,
/// which hyper does not use any more then, whatever the answer says.
pub(super) fn put<B>(out: &mut Vec<u8>, request: &Request<B>) -> bool {
    let mut is_last = false;
    out.clear();
    out.extend_from_slice(request.method().as_str().as_bytes());
    out.push(b' ');
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    if !path.starts_with(['/', '*']) {
        out.push(b'/');
    }
    out.extend_from_slice(path.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in request.headers() {
        // There is no body to frame.
        if name == TRANSFER_ENCODING {
            continue;
        }
        is_last |= name == CONNECTION && asks_to_close(value);
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    is_last
}

fn asks_to_close(connection: &HeaderValue) -> bool {
    let mut members = connection.as_bytes().split(|byte| *byte == b',');
    members.any(|member| member.trim_ascii().eq_ignore_ascii_case(b"close"))
}

/// An answer that was read as a whole, and nothing more. It has no [fields for one hop](admit::clean_response).
pub(super) struct Answer {
    pub(super) response: Response<Bytes>,
    /// Whether the upstream closes the connection behind it.
    pub(super) is_last: bool,
}

/// The answer to a request with this method, if these bytes are just that, and it is as plain as the [module](super) says. If not, the bytes.
pub(super) fn read(bytes: Bytes, method: &Method) -> Result<Answer, Bytes> {
    plain(&bytes, method).ok_or(bytes)
}

fn plain(bytes: &Bytes, method: &Method) -> Option<Answer> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut head = httparse::Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut head, bytes, &mut fields);
    let Ok(Status::Complete(len)) = parsed else {
        return None;
    };
    let status = StatusCode::from_u16(head.code?).ok()?;
    // What stands behind the status is kept by hyper, where it is not the usual.
    if head.version != Some(1) || status.is_informational() || head.reason != status.canonical_reason() {
        return None;
    }
    let mut headers = HeaderMap::with_capacity(head.headers.len());
    let mut framing = Framing::default();
    // Of names that are known to be for everybody there is nothing to clean.
    let mut is_clean = status != StatusCode::NO_CONTENT;
    for field in head.headers.iter() {
        let name = match usual(field.name) {
            Some(name) => name,
            None => {
                is_clean = false;
                HeaderName::from_bytes(field.name.as_bytes()).ok()?
            }
        };
        if name == CONNECTION {
            if framing.is_kept(field.value)? {
                continue;
            }
            is_clean = false;
        }
        framing.look_at(&name, field.value)?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(field.value)).ok()?;
        headers.append(name, value);
    }
    // RFC 9112, section 6.3.
    let has_none =
        *method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let length = if has_none { 0 } else { framing.length? };
    if bytes.len() - len != length {
        return None;
    }
    let (mut parts, ()) = Response::new(()).into_parts();
    (parts.status, parts.headers) = (status, headers);
    if !is_clean {
        admit::clean_response(&mut parts);
    }
    Some(Answer {
        response: Response::from_parts(parts, bytes.slice(len..)),
        is_last: framing.is_last,
    })
}

/// The names that most answers have, as most servers write them, in the order of their lengths. But for `Connection` they are for no hop.
static USUAL: [(&str, HeaderName); 14] = [
    ("Age", header::AGE),
    ("Date", header::DATE),
    ("ETag", header::ETAG),
    ("Vary", header::VARY),
    ("Server", header::SERVER),
    ("Expires", header::EXPIRES),
    ("Location", header::LOCATION),
    ("Connection", CONNECTION),
    ("Set-Cookie", header::SET_COOKIE),
    ("Content-Type", header::CONTENT_TYPE),
    ("Accept-Ranges", header::ACCEPT_RANGES),
    ("Cache-Control", header::CACHE_CONTROL),
    ("Last-Modified", header::LAST_MODIFIED),
    ("Content-Length", CONTENT_LENGTH),
];

/// One of the [`USUAL`] names, as most servers write it, or in lower case.
fn usual(name: &str) -> Option<HeaderName> {
    let candidates = match name.len() {
        3 => &USUAL[..1],
        4 => &USUAL[1..4],
        6 => &USUAL[4..5],
        7 => &USUAL[5..6],
        8 => &USUAL[6..7],
        10 => &USUAL[7..9],
        12 => &USUAL[9..10],
        13 => &USUAL[10..13],
        14 => &USUAL[13..],
        _ => return None,
    };
    let is_it = |(written, known): &&(&str, HeaderName)| name == *written || name == known.as_str();
    candidates.iter().find(is_it).map(|(_, known)| known.clone())
}

/// What the fields say about the body, and about what follows.
#[derive(Default)]
struct Framing {
    length: Option<usize>,
    is_last: bool,
}

impl Framing {
    /// `None` for what only hyper judges.
    fn look_at(&mut self, name: &HeaderName, value: &[u8]) -> Option<()> {
        if name == CONTENT_LENGTH {
            let is_first = self.length.replace(number(value)?).is_none();
            return is_first.then_some(());
        }
        (name != TRANSFER_ENCODING).then_some(())
    }
}

impl Framing {
    /// Whether this value of `Connection` does no more than keep the connection. `None` for one that only hyper judges.
    fn is_kept(&mut self, value: &[u8]) -> Option<bool> {
        if value.eq_ignore_ascii_case(b"keep-alive") {
            return Some(true);
        }
        self.is_last |= value.eq_ignore_ascii_case(b"close");
        self.is_last.then_some(false)
    }
}

/// Digits and nothing else (RFC 9110, section 8.6), and no more than what may be read at once.
fn number(text: &[u8]) -> Option<usize> {
    if !(1..=7).contains(&text.len()) {
        return None;
    }
    text.iter().try_fold(0, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| usize::from(digit - b'0'))?;
        Some(number * 10 + digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str, method: &Method) -> Option<Answer> {
        read(Bytes::copy_from_slice(text.as_bytes()), method).ok()
    }

    #[test]
    fn a_request_is_written_in_origin_form_without_framing() {
        let request = Request::put("/a%2f?b=%20")
            .header("host", "out.example")
            .header("x-a", "1")
            .header("transfer-encoding", "chunked")
            .header("x-a", "2")
            .body(())
            .unwrap();
        let mut out = b"the last one".to_vec();
        put(&mut out, &request);
        let text = "PUT /a%2f?b=%20 HTTP/1.1\r\nhost: out.example\r\nx-a: 1\r\nx-a: 2\r\n\r\n";
        assert_eq!(str::from_utf8(&out).unwrap(), text);
        put(&mut out, &Request::options("*").body(()).unwrap());
        assert_eq!(out, b"OPTIONS * HTTP/1.1\r\n\r\n");
    }

    #[test]
    fn a_request_that_asks_to_close_is_the_last() {
        for (value, is_last) in [
            ("close", true),
            ("te, Close", true),
            ("te", false),
            ("not-close", false),
        ] {
            let request = Request::get("/").header("connection", value).body(()).unwrap();
            assert_eq!(put(&mut Vec::new(), &request), is_last, "{value}");
        }
    }

    #[test]
    fn a_whole_answer_is_taken() {
        let text =
            "HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 3\r\nConnection: Keep-Alive\r\n\r\nabc";
        let Answer { response, is_last } = answer(text, &Method::GET).unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert!(response.headers().get_all("x-a").iter().eq(["1", "2"]));
        assert_eq!(response.headers().len(), 3);
        assert_eq!(response.body(), "abc");
        assert!(!is_last);
    }

    #[test]
    fn answers_without_a_body_have_none_whatever_they_promise() {
        for (method, text) in [
            (Method::HEAD, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n"),
            (Method::HEAD, "HTTP/1.1 200 OK\r\n\r\n"),
            (Method::GET, "HTTP/1.1 204 No Content\r\n\r\n"),
            (
                Method::GET,
                "HTTP/1.1 304 Not Modified\r\ncontent-length: 10\r\n\r\n",
            ),
        ] {
            assert!(
                answer(text, &method).unwrap().response.body().is_empty(),
                "{text}"
            );
        }
    }

    #[test]
    fn an_answer_is_clean() {
        let text = "HTTP/1.1 200 OK\r\nkeep-alive: timeout=5\r\nx-a: 2\r\ncontent-length: 0\r\nserver: a\r\nconnection: close\r\n\r\n";
        let Answer { response, is_last } = answer(text, &Method::GET).unwrap();
        assert!(is_last);
        assert_eq!(response.headers().len(), 3);
        let kept = |name| response.headers().contains_key(name);
        assert!(["x-a", "content-length", "server"].into_iter().all(kept));
        let none = "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n";
        let Answer { response, .. } = answer(none, &Method::GET).unwrap();
        assert!(response.headers().is_empty());
    }

    #[test]
    fn usual_names_are_found_as_they_are_written_mostly() {
        for (written, name) in &USUAL {
            assert!(written.eq_ignore_ascii_case(name.as_str()));
            assert_eq!(usual(written).as_ref(), Some(name));
            assert_eq!(usual(name.as_str()).as_ref(), Some(name));
            assert_eq!(
                usual(&name.as_str().to_uppercase()),
                None,
                "and is found by its bytes"
            );
        }
        let text = "HTTP/1.1 200 OK\r\nCONNECTION: keep-alive\r\nCONTENT-LENGTH: 0\r\n\r\n";
        let Answer { response, is_last } = answer(text, &Method::GET).unwrap();
        assert!(!is_last && response.headers().keys().eq([CONTENT_LENGTH]));
    }

    #[test]
    fn the_last_answer_says_so() {
        let text =
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\nconnection: keep-alive\r\n\r\n";
        assert!(answer(text, &Method::GET).unwrap().is_last);
    }

    #[test]
    fn all_else_is_for_hyper() {
        let ok = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nabc");
        for text in [
            ok("content-length: 4"),
            ok("content-length: 2"),
            ok("content-length: 3\r\ncontent-length: 3"),
            ok("content-length: 3\r\ntransfer-encoding: chunked"),
            ok("transfer-encoding: chunked"),
            ok("content-length: +3"),
            ok("content-length: 3,3"),
            ok("content-length:"),
            ok("content-length: 18446744073709551619"),
            ok("content-length: 3\r\nconnection: upgrade"),
            ok("x: 1"),
            ok("content-length: 3\r\n folded"),
            ok("content-length : 3"),
            ok(&"x: 1\r\n".repeat(MAX_FIELDS)) + "content-length: 3",
            ok("content-length: 3").replace("1.1", "1.0"),
            ok("content-length: 3").replace("OK", "Fine"),
            "HTTP/1.1 100 Continue\r\n\r\n".to_owned(),
            "HTTP/1.1 101 Switching Protocols\r\ncontent-length: 0\r\n\r\n".to_owned(),
            "HTTP/1.1 204 No Content\r\n\r\nabc".to_owned(),
            "HTTP/1.1 200 OK\r\ncontent-le".to_owned(),
            "no HTTP".to_owned(),
        ] {
            assert!(answer(&text, &Method::GET).is_none(), "{text}");
        }
    }
}
