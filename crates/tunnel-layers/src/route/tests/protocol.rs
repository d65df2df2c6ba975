//! Rules for WebSocket and other protocols.

use http::{HeaderMap, HeaderValue, Method};
use tower::{Layer as _, ServiceExt as _};
use tunnel_core::admit::{ExtendedConnect, UpgradeRequest};

use super::{super::compiled::Ask, *};
use crate::{
    reject::Direct,
    test_util::{Probe, Scripted, request},
};

fn asking_for(protocol: &'static str) -> UpgradeRequest {
    let protocol = HeaderValue::from_static(protocol);
    UpgradeRequest { protocol }
}

fn find<'a>(
    rules: &'a Rules,
    method: &Method,
    upgrade: Option<&UpgradeRequest>,
    headers: &HeaderMap,
) -> Option<&'a str> {
    let ask = Ask::new("example.com", "/", method, headers).upgrade(upgrade);
    rules.find(&ask).map(|rule| &*rule.id)
}

#[test]
fn a_rule_without_a_protocol_is_for_all_and_others_for_theirs() {
    let mut grpc = HeaderMap::new();
    grpc.insert("content-type", crate::test_util::grpc());
    let plain = HeaderMap::new();
    let (websocket, other) = (asking_for("WebSocket"), asking_for("tcp/1"));
    let requests = [
        (None, &plain),
        (None, &grpc),
        (Some(&websocket), &plain),
        (Some(&other), &plain),
    ];
    for (protocol, expected) in [
        (None, [true; 4]),
        (Some(RuleProtocol::Http), [true, false, false, false]),
        (Some(RuleProtocol::Grpc), [false, true, false, false]),
        (Some(RuleProtocol::WebSocket), [false, false, true, false]),
        (Some(RuleProtocol::Upgrade), [false, false, true, true]),
    ] {
        let rule = match protocol {
            Some(protocol) => rule("r").protocol(protocol),
            None => rule("r"),
        };
        let rules = rules([rule]);
        let matches =
            requests.map(|(upgrade, headers)| find(&rules, &Method::GET, upgrade, headers).is_some());
        assert_eq!(matches, expected, "{protocol:?}");
    }
}

#[test]
fn one_path_may_have_a_rule_for_each_protocol() {
    let rules = rules([
        rule("socket").protocol(RuleProtocol::WebSocket),
        rule("page").method(Method::GET),
    ]);
    let (none, websocket) = (HeaderMap::new(), asking_for("websocket"));
    assert_eq!(
        find(&rules, &Method::GET, Some(&websocket), &none),
        Some("socket")
    );
    assert_eq!(find(&rules, &Method::GET, None, &none), Some("page"));
    let other = asking_for("tcp");
    assert_eq!(find(&rules, &Method::GET, Some(&other), &none), Some("page"));
}

#[test]
fn an_extended_connect_counts_as_a_get() {
    let rules = rules([
        rule("connect").method(Method::CONNECT),
        rule("get").method(Method::GET),
    ]);
    let (none, websocket) = (HeaderMap::new(), asking_for("websocket"));
    assert_eq!(
        find(&rules, &Method::CONNECT, Some(&websocket), &none),
        Some("get")
    );
    assert_eq!(find(&rules, &Method::POST, Some(&websocket), &none), None);
}

/// What the layer itself finds out, from heads as they come in.
#[tokio::test]
async fn handshakes_of_both_versions_are_seen() {
    let socket = || {
        let answer = Direct::new(http::StatusCode::IM_A_TEAPOT);
        Rule::direct("socket", answer)
            .protocol(RuleProtocol::WebSocket)
            .method(Method::GET)
    };
    let service = RouteLayer::new(rules([socket(), rule("rest")])).layer(Probe::new());
    let status = async |request: http::Request<Scripted>| {
        service.clone().oneshot(request).await.unwrap().status().as_u16()
    };
    let mut upgrade = request("/chat");
    upgrade
        .headers_mut()
        .insert("connection", HeaderValue::from_static("keep-alive, Upgrade"));
    upgrade
        .headers_mut()
        .insert("upgrade", HeaderValue::from_static("websocket"));
    assert_eq!(status(upgrade).await, 418);

    let mut connect = request("/chat");
    *connect.method_mut() = Method::CONNECT;
    *connect.version_mut() = http::Version::HTTP_2;
    let protocol = HeaderValue::from_static("websocket");
    connect.extensions_mut().insert(ExtendedConnect { protocol });
    assert_eq!(status(connect).await, 418);

    assert_eq!(status(request("/chat")).await, 200);
}

#[test]
fn errors_say_what_would_be_right() {
    let other = "protocol: a call of gRPC is another protocol";
    for (rule, expected) in [
        (rule("r").grpc().protocol(RuleProtocol::WebSocket), other),
        (
            rule("r").grpc_service("a.B").protocol(RuleProtocol::Upgrade),
            other,
        ),
        (rule("r").grpc_method("a.B/C").protocol(RuleProtocol::Http), other),
        (
            rule("r").protocol(RuleProtocol::WebSocket).method(Method::POST),
            "a WebSocket begins with a GET: leave the methods out",
        ),
        (
            rule("r").protocol(RuleProtocol::Grpc).method(Method::GET),
            "a call of gRPC begins with a POST",
        ),
    ] {
        let error = Rules::compile([rule]).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.field(), "protocol");
    }
    for rule in [
        rule("r").protocol(RuleProtocol::Grpc).path_prefix("/acme.A"),
        rule("r").protocol(RuleProtocol::Grpc).grpc_service("acme.A"),
        rule("r").protocol(RuleProtocol::Upgrade).method(Method::OPTIONS),
        Rule::direct("r", Direct::new(http::StatusCode::FORBIDDEN)).protocol(RuleProtocol::WebSocket),
    ] {
        assert!(Rules::compile([rule]).is_ok());
    }
}
