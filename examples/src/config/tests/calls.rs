//! What agents may ask, and where they listen.

use super::*;

const CALLS: &str = r#"listen: 127.0.0.1:8080
auth:
  default: public
  providers:
    edges: {agents: {names: [edge], groups: [web]}}
agents:
  listen: 127.0.0.1:7000
  tokens: [{name: edge, token_env: WEB_TOKEN, groups: [web]}]
  calls:
    rules:
      - {id: asked, group: web, auth: edges}
rules:
  - {id: web, group: web}
"#;

/// The errors of the good file with `from` replaced.
fn calls_with(from: &str, to: &str) -> String {
    assert!(CALLS.contains(from), "{from}");
    gateway(&CALLS.replacen(from, to, 1)).unwrap_err()
}

#[test]
fn agents_may_ask_by_rules_of_their_own() {
    let config = gateway(CALLS).unwrap();
    assert_eq!(config.calls.as_ref().unwrap().rules.len(), 1);
    assert!(config.to_string().contains("rules for agents 1"), "{config}");
    assert!(gateway(GATEWAY).unwrap().calls.is_none());
}

#[test]
fn mistakes_are_found_at_their_lines() {
    for (from, to, place, problem) in [
        ("id: asked", "id: web", "gateway.yaml:", "is taken by the rule"),
        (
            "group: web, auth: edges",
            "group: api",
            "gateway.yaml:11",
            "the group `api`",
        ),
        ("auth: edges", "auth: edge", "gateway.yaml:11", "edge"),
        (
            "names: [edge]",
            "names: []",
            "gateway.yaml:5",
            "no agent is named",
        ),
        (
            "groups: [web]}}",
            "groups: []}}",
            "gateway.yaml:5",
            "no agent is named",
        ),
        (
            "groups: [web]}}",
            "groups: [a/b]}}",
            "gateway.yaml:5",
            "is no name",
        ),
    ] {
        let error = calls_with(from, to);
        assert!(error.contains(place) && error.contains(problem), "{to}: {error}");
    }
}

#[test]
fn an_agent_that_only_asks_needs_no_upstream() {
    let text = AGENT.replace(
        "upstream:\n  url: http://127.0.0.1:3000\n",
        "listen: 127.0.0.1:9000\n",
    );
    let config = agent(&text).unwrap();
    assert_eq!(config.locals[0].listen, "127.0.0.1:9000".parse().unwrap());
    assert!(config.to_string().ends_with("listen 127.0.0.1:9000"), "{config}");
    let error = agent(&text.replace("127.0.0.1:9000", "here")).unwrap_err();
    assert!(
        error.contains("agent.yaml:4") && error.contains("no address"),
        "{error}"
    );
}
