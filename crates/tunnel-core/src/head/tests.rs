use http::{request, uri::PathAndQuery};

use super::*;
use crate::{
    admit::{self, Canonical},
    error::{Cause, Initiator},
};

#[test]
fn the_dialect_is_grpc_only_for_its_content_type() {
    let of = |value: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
        Protocol::of(&headers)
    };
    for grpc in [
        "application/grpc",
        "application/grpc+proto",
        "application/grpc;x=y",
        "Application/GRPC",
    ] {
        assert_eq!(of(grpc), Protocol::Grpc, "{grpc}");
    }
    for http in [
        "application/grpc-web",
        "application/grpcx",
        "application/json",
        "application/grp",
    ] {
        assert_eq!(of(http), Protocol::Http, "{http}");
    }
    assert_eq!(Protocol::of(&HeaderMap::new()), Protocol::Http);
}

fn admitted(uri: &str, fields: &[(&str, &str)]) -> request::Parts {
    let mut builder = http::Request::builder().uri(uri);
    for (name, value) in fields {
        builder = builder.header(*name, *value);
    }
    let (mut parts, ()) = builder.body(()).unwrap().into_parts();
    admit::ensure(&mut parts).unwrap();
    parts
}

fn head() -> RequestHead {
    RequestHead::from_parts(admitted("/a//b%2Dc?q=%zz", &[("host", "Example.com:8080")])).unwrap()
}

#[test]
fn a_request_that_was_not_admitted_is_refused() {
    let (parts, ()) = http::Request::new(()).into_parts();
    let error = RequestHead::from_parts(parts).unwrap_err();
    assert_eq!(error.cause(), Cause::Internal);
    assert!(error.message().contains("was not admitted"), "{error}");
}

#[test]
fn a_request_comes_out_as_it_went_in() {
    let fields = [
        ("host", "Example.com:8080"),
        ("x-dup", "1"),
        ("x-dup", "2"),
        ("te", "trailers"),
        ("expect", "100-continue"),
    ];
    let parts = admitted("/a//b%2Dc?q=%zz", &fields);
    let head = RequestHead::from_parts(parts.clone()).unwrap();
    assert!(!head.headers.contains_key("host"));
    assert_eq!(head.authority.as_ref().unwrap(), "example.com:8080");
    assert_eq!(head.path, "/a//b%2Dc?q=%zz");
    assert!(head.expects_continue());

    let rebuilt = head.into_request_parts().unwrap();
    assert_eq!((&rebuilt.uri, &rebuilt.method), (&parts.uri, &parts.method));
    assert_eq!(rebuilt.headers, parts.headers);
    let found = rebuilt.extensions.get::<Canonical>().unwrap();
    assert_eq!((found.host(), found.port()), ("example.com", Some(8080)));
    assert_eq!(found.path(), "/a/b-c");
    assert!(admit::is_admitted(&rebuilt.extensions));
}

#[test]
fn what_a_rule_rewrites_travels() {
    let mut parts = admitted("/old", &[("host", "old.example")]);
    parts.uri = "http://new.example/new?q".parse().unwrap();
    let rebuilt = RequestHead::from_parts(parts)
        .unwrap()
        .into_request_parts()
        .unwrap();
    assert_eq!(rebuilt.uri, "http://new.example/new?q");
    assert_eq!(rebuilt.headers[header::HOST], "new.example");
    // Somebody else's layer may have left a relative URI.
    let mut parts = admitted("/old", &[("host", "old.example")]);
    parts.uri = "/new".parse().unwrap();
    let head = RequestHead::from_parts(parts).unwrap();
    assert_eq!(head.authority.unwrap(), "old.example");
}

#[test]
fn a_request_without_authority_comes_out_without_host() {
    let request = http::Request::builder().version(http::Version::HTTP_10).uri("/p");
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    let mut tls = crate::PeerInfo::unknown();
    tls.scheme = Scheme::HTTPS;
    parts.extensions.insert(tls);
    admit::ensure(&mut parts).unwrap();
    let mut head = RequestHead::from_parts(parts).unwrap();
    // A URI without authority has no scheme, yet it is not lost.
    assert_eq!(head.scheme, Scheme::HTTPS);
    head.headers
        .insert(header::HOST, HeaderValue::from_static("evil.example"));
    let rebuilt = head.into_request_parts().unwrap();
    assert_eq!(rebuilt.uri, "/p");
    assert!(!rebuilt.headers.contains_key(header::HOST));
    let found = rebuilt.extensions.get::<Canonical>().unwrap();
    assert_eq!(*found.scheme(), Scheme::HTTPS);
}

#[test]
fn the_asterisk_survives() {
    let request = http::Request::options("*").header("host", "example.com");
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    admit::ensure(&mut parts).unwrap();
    let rebuilt = RequestHead::from_parts(parts)
        .unwrap()
        .into_request_parts()
        .unwrap();
    assert_eq!(rebuilt.uri.path(), "*");
    assert_eq!(rebuilt.uri.authority().unwrap(), "example.com");
}

#[test]
fn the_far_end_trusts_no_head() {
    type Spoil = fn(&mut RequestHead);
    let spoil: [(&str, Spoil); 9] = [
        ("connect", |head| head.method = Method::CONNECT),
        ("trace", |head| head.method = Method::TRACE),
        ("scheme", |head| head.scheme = "ftp".parse().unwrap()),
        ("user", |head| {
            head.authority = Some(Authority::from_static("a@b"));
        }),
        ("label", |head| {
            head.authority = Some(Authority::from_static("a..b"));
        }),
        ("climb", |head| head.path = PathAndQuery::from_static("/../a")),
        ("escape", |head| head.path = PathAndQuery::from_static("/%00")),
        ("asterisk", |head| head.path = PathAndQuery::from_static("*")),
        ("length", |head| {
            head.headers
                .append(header::CONTENT_LENGTH, HeaderValue::from_static("1"));
            head.headers
                .append(header::CONTENT_LENGTH, HeaderValue::from_static("2"));
        }),
    ];
    for (what, spoil) in spoil {
        let mut head = head();
        spoil(&mut head);
        let error = head.into_request_parts().unwrap_err();
        assert_eq!(
            (error.cause(), error.initiator()),
            (Cause::Protocol, Initiator::Peer),
            "{what}"
        );
    }
}

#[test]
fn the_far_end_cleans_what_a_peer_left() {
    let mut head = head();
    for (name, value) in [
        ("host", "evil.example"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("transfer-encoding", "chunked"),
        ("te", "gzip"),
        ("x-forwarded-proto", "https"),
    ] {
        head.headers.insert(name, HeaderValue::from_static(value));
    }
    let parts = head.into_request_parts().unwrap();
    assert_eq!(parts.headers[header::HOST], "example.com:8080");
    assert_eq!(parts.headers["x-forwarded-proto"], "https");
    for gone in ["connection", "x-hop", "transfer-encoding", "te"] {
        assert!(!parts.headers.contains_key(gone), "{gone}");
    }
}

#[test]
fn paths_that_the_sender_allowed_pass_the_far_end() {
    let mut head = head();
    head.path = PathAndQuery::from_static("/a/../b%2fc");
    let parts = head.into_request_parts().unwrap();
    assert_eq!(parts.uri.path(), "/a/../b%2fc");
    assert_eq!(parts.extensions.get::<Canonical>().unwrap().path(), "/b%2Fc");
}

#[test]
fn sizes_are_those_of_http_1_1() {
    let mut head = head();
    head.headers.clear();
    let line = "GET http://example.com:8080/a//b%2Dc?q=%zz HTTP/1.1\r\n".len();
    assert_eq!((head.byte_len(), head.field_count()), (line, 0));
    head.headers.append("a", HeaderValue::from_static("1"));
    head.headers.append("a", HeaderValue::from_static("22"));
    assert_eq!((head.byte_len(), head.field_count()), (line + 6 + 7, 2));

    let head = ResponseHead {
        upgrade: None,
        status: StatusCode::OK,
        headers: head.headers,
    };
    assert_eq!(
        (head.byte_len(), head.field_count()),
        ("HTTP/1.1 200 \r\n".len() + 6 + 7, 2)
    );
}

#[test]
fn a_response_comes_out_as_it_went_in() {
    let response = http::Response::builder()
        .status(404)
        .header("set-cookie", "a=1")
        .header("set-cookie", "b=2")
        .header("connection", "close")
        .header("content-length", "0");
    let head = ResponseHead::from_parts(response.body(()).unwrap().into_parts().0).unwrap();
    assert!(!head.headers.contains_key("connection"));
    let mut dirty = head.clone();
    dirty.headers.insert("keep-alive", HeaderValue::from_static("x"));
    let parts = dirty.into_parts().unwrap();
    assert_eq!(
        (parts.status, &parts.headers),
        (StatusCode::NOT_FOUND, &head.headers)
    );
    assert!(parts.headers.get_all("set-cookie").iter().eq(["a=1", "b=2"]));
}

#[test]
fn an_informational_status_is_no_answer() {
    for (status, is_answer) in [
        (100, false),
        (103, false),
        (199, false),
        (101, true),
        (200, true),
        (599, true),
    ] {
        let (parts, ()) = http::Response::builder()
            .status(status)
            .header("upgrade", "foo/1")
            .body(())
            .unwrap()
            .into_parts();
        let head = ResponseHead {
            upgrade: None,
            status: parts.status,
            headers: HeaderMap::new(),
        };
        let sent = ResponseHead::from_parts(parts).map_err(|error| error.cause());
        let received = head.into_parts().map_err(|error| error.cause());
        assert_eq!(sent.err(), (!is_answer).then_some(Cause::Upstream), "{status}");
        assert_eq!(
            received.err(),
            (!is_answer).then_some(Cause::Protocol),
            "{status}"
        );
    }
}

#[test]
fn a_switch_says_to_what() {
    let response = http::Response::builder()
        .status(101)
        .header("connection", "upgrade");
    let (mut parts, ()) = response.body(()).unwrap().into_parts();
    let error = ResponseHead::from_parts(parts.clone()).unwrap_err();
    assert_eq!(
        (error.cause(), error.initiator()),
        (Cause::BadUpgrade, Initiator::Peer)
    );
    parts.headers.insert("upgrade", HeaderValue::from_static("foo/1"));
    let head = ResponseHead::from_parts(parts).unwrap();
    assert_eq!(head.upgrade.as_deref(), Some(&HeaderValue::from_static("foo/1")));
    assert!(head.headers.is_empty(), "{:?}", head.headers);
}
