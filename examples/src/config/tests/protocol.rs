use http::Request;
use tunnel_layers::route::RulesWithUpstreams;

use super::*;

#[tokio::test]
async fn rules_match_what_is_asked_for() {
    let requests = [
        ("application/json", None),
        ("application/grpc", None),
        ("text/plain", Some("websocket")),
        ("text/plain", Some("tcp")),
    ];
    for (protocol, expected) in [
        ("http", ["first", "web", "web", "web"]),
        ("grpc", ["web", "first", "web", "web"]),
        ("websocket", ["web", "web", "first", "web"]),
        ("upgrade", ["web", "web", "first", "first"]),
    ] {
        let first = format!("rules:\n  - id: first\n    protocol: {protocol}\n    group: web\n");
        let rules = gateway(&GATEWAY.replacen("rules:\n", &first, 1))
            .unwrap()
            .listeners[0]
            .rules
            .clone();
        for ((content_type, upgrade), expected) in requests.into_iter().zip(expected) {
            let found = routed(&rules, content_type, upgrade).await;
            assert_eq!(found, expected, "{protocol}: {content_type} {upgrade:?}");
        }
    }
}

async fn routed(rules: &RulesWithUpstreams, content_type: &str, upgrade: Option<&str>) -> String {
    let request = Request::get("/").header("content-type", content_type);
    let request = match upgrade {
        Some(protocol) => request
            .header("connection", "upgrade")
            .header("upgrade", protocol),
        None => request,
    };
    rule_of(rules, request).await
}

#[test]
fn what_is_wrong_about_a_protocol_is_found_at_its_line() {
    for (more, place, right) in [
        ("protocol: websockets", "11:15", "did you mean `websocket`?"),
        (
            "protocol: mqtt",
            "11:15",
            "known here are `http`, `grpc`, `websocket`, `upgrade`",
        ),
        (
            "grpc: true\n    protocol: websocket",
            "12:15",
            "leave one of the two matchers out",
        ),
        (
            "methods: [POST]\n    protocol: websocket",
            "12:15",
            "begins with a GET",
        ),
    ] {
        let error = gateway_with("    group: web", &format!("    group: web\n    {more}"));
        let place = format!("gateway.yaml:{place}: ");
        assert!(
            error.starts_with(&place) && error.contains(right),
            "{more}\n{error}"
        );
    }
}
