use http::Request;
use tunnel_layers::route::RulesWithUpstreams;

use super::*;

#[tokio::test]
async fn rules_match_calls_of_grpc() {
    for (grpc, calls, others) in [
        ("true", "/a.b.C/D", "/a.b.C/D/E"),
        ("{service: a.b.C}", "/a.b.C/D", "/a.b.CC/D"),
        ("{service_prefix: a.b}", "/a.b.C/D", "/a.bb.C/D"),
        ("{service_prefix: a.b.}", "/a.b.c.D/E", "/a.b/E"),
        ("{service: a.b.C, methods: [D, E]}", "/a.b.C/E", "/a.b.C/F"),
        ("{methods: [a.b.C/D, a.E/F]}", "/a.E/F", "/a.E/D"),
    ] {
        let rule = format!("  - id: calls\n    grpc: {grpc}\n    group: web\n");
        let rules = gateway(&format!("{GATEWAY}{rule}")).unwrap().listeners[0]
            .rules
            .clone();
        assert_eq!(routed(&rules, calls, "application/grpc").await, "calls", "{grpc}");
        assert_eq!(routed(&rules, calls, "text/plain").await, "web", "{grpc}");
        assert_eq!(routed(&rules, others, "application/grpc").await, "web", "{grpc}");
    }
}

async fn routed(rules: &RulesWithUpstreams, path: &str, content_type: &str) -> String {
    let request = Request::post(path).header("content-type", content_type);
    rule_of(rules, request).await
}

#[test]
fn what_is_wrong_about_grpc_is_found_at_its_line() {
    for (more, place, right) in [
        ("grpc: yes please", "11:5", "true (for every call) or a mapping"),
        ("grpc: false", "11:5", "true (for every call) or a mapping"),
        ("grpc: {}", "11:11", "`grpc: true` for every call"),
        ("grpc: {methods: []}", "11:11", "`grpc: true` for every call"),
        ("grpc: {servcie: a.B}", "11:12", "did you mean `service`?"),
        ("grpc: {service: a b}", "11:21", "such as package.Service"),
        ("grpc: {service_prefix: a..}", "11:28", "such as acme.billing."),
        ("grpc: {service: a.B, service_prefix: a}", "11:42", "not both"),
        (
            "grpc:\n      service_prefix: a\n      methods: [Get]",
            "13:17",
            "name that, not a prefix",
        ),
        ("grpc: {methods: [a.B/Get, Put]}", "11:31", "names no service"),
        (
            "grpc: {service: a.B, methods: [Get, a.C/Get]}",
            "11:41",
            "no method of the service",
        ),
        ("grpc: true\n    path: /a", "11:11", "not both"),
        (
            "grpc: true\n    methods: [GET]",
            "11:11",
            "leave the method of HTTP out",
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

#[test]
fn grpc_web_names_the_pages_that_may_call() {
    let with = |yaml: &str| gateway(&GATEWAY.replacen("rules:", &format!("grpc_web: {yaml}\nrules:"), 1));
    for good in [
        "{origins: [\"*\"]}",
        "{origins: [\"https://a.example\"], credentials: true, max_age: 10m}",
    ] {
        assert!(with(good).unwrap().cors.is_some(), "{good}");
    }
    assert!(gateway(GATEWAY).unwrap().cors.is_none());
    for (bad, expected) in [
        ("{origins: []}", "no page could call"),
        ("{origins: [\"*\", \"https://a.example\"]}", "it stands alone"),
        ("{origins: [\"*\"], credentials: true}", "never with"),
        ("{origins: [\"a.example/x\"]}", "gateway.yaml:8:"),
        ("{}", "origins"),
    ] {
        let error = with(bad).unwrap_err();
        assert!(error.contains(expected), "{bad}: {error}");
    }
}

#[test]
fn hosts_of_agents_are_checked_on_both_ends() {
    let with = |rule: &str| gateway(&GATEWAY.replacen("    group: web\n", rule, 1));
    with("    registered_hosts: true\n    host: \"*.example.com\"\n    group: web\n").unwrap();
    with("    registered_hosts: false\n    respond: {status: 204}\n").unwrap();
    let error = with("    registered_hosts: true\n    respond: {status: 204}\n").unwrap_err();
    assert!(
        error.starts_with("gateway.yaml:10:23:") && error.contains("a group"),
        "{error}"
    );
    let hosts = |list: &str| format!("groups: [web]\nhosts: [{list}]");
    assert!(agent(&AGENT.replacen("groups: [web]", &hosts("a.example, B.example."), 1)).is_ok());
    let error = agent_with("groups: [web]", &hosts("a.example, \"b:80\""));
    assert!(
        error.starts_with("agent.yaml:3:20:") && error.contains("no host"),
        "{error}"
    );
}

#[test]
fn services_may_take_the_place_of_rules() {
    let text = GATEWAY.replacen(
        "  listen: 127.0.0.1:7000\n",
        "  listen: 127.0.0.1:7000\n  route_services: true\n",
        1,
    );
    assert!(gateway(&text).unwrap().route_services);
    let without_rules = text.split("rules:").next().unwrap().to_owned() + "rules: []\n";
    assert_eq!(gateway(&without_rules).unwrap().listeners[0].rules.len(), 0);
    assert!(agent_with("groups: [web]", "groups: [web]\nservices: [a/b]").contains("agent.yaml:3:"));
    assert!(agent(&AGENT.replacen("groups: [web]", "groups: [web]\nservices: [acme.Invoices]", 1)).is_ok());
}
