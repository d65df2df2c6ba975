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

/// The agent's file with this behind it.
fn listening(more: &str) -> Result<AgentConfig, String> {
    agent(&format!("{AGENT}{more}"))
}

#[test]
fn an_agent_has_as_many_ports_as_its_file_says() {
    let text = "\
listen: 127.0.0.1:9000
listeners:
  - {name: slow, listen: {address: 127.0.0.1:9001}, timeouts: {whole: 10m}}
limits: {max_connections: 10, uri_bytes: 100, max_hops: 3}
timeouts: {whole: 1m}
lame_duck: 5s
drain: 1s
";
    let config = listening(text).unwrap();
    let names: Vec<_> = config.locals.iter().map(|local| &*local.name).collect();
    assert_eq!(names, ["main", "slow"]);
    assert!(
        config
            .to_string()
            .ends_with("listen 127.0.0.1:9000 127.0.0.1:9001"),
        "{config}"
    );
    assert!(agent(AGENT).unwrap().locals.is_empty());
}

#[test]
fn a_port_of_an_agent_is_the_same_while_the_file_says_the_same_of_it() {
    let text = "listen: 127.0.0.1:9000\nlisteners: [{name: slow, listen: 127.0.0.1:9001}]\n";
    let agree = |more: &str| {
        let (old, new) = (listening(text).unwrap(), listening(more).unwrap());
        let changes = old.changes(&new);
        assert!(AgentConfig::unchangeable(&changes).is_empty(), "{changes}");
        let pairs = old.locals.iter().zip(&new.locals);
        pairs.map(|(old, new)| old.agrees(new)).collect::<Vec<_>>()
    };
    assert_eq!(agree(text), [true, true]);
    assert_eq!(agree(&text.replace("9001", "9002")), [true, false]);
    assert_eq!(agree(&text.replace("9000", "9002")), [false, true]);
    assert_eq!(agree(&format!("{text}limits: {{max_hops: 3}}\n")), [false, false]);
    assert_eq!(agree("listen: 127.0.0.1:9000\n"), [true]);
}

#[test]
fn mistakes_in_ports_of_agents_are_found_at_their_lines() {
    for (more, place, problem) in [
        ("listen: here\n", "agent.yaml:6", "no address"),
        (
            "listeners: [{name: a b, listen: 127.0.0.1:1}]\n",
            "agent.yaml:6",
            "a name has",
        ),
        (
            "listeners: [{name: main, listen: 127.0.0.1:1}]\n",
            "agent.yaml:6",
            "is called `main`",
        ),
        (
            "listen: 127.0.0.1:1\nlisteners:\n  - {name: a, listen: 127.0.0.1:1}\n",
            "agent.yaml:8",
            "has this address already",
        ),
        (
            "limits: {max_agents: 1}\n",
            "agent.yaml:6",
            "`max_agents` is a limit of gateways",
        ),
        (
            "listen: {address: 127.0.0.1:1, tls: {certificates: []}}\n",
            "agent.yaml:6",
            "needs a certificate",
        ),
    ] {
        let error = listening(more).unwrap_err();
        assert!(
            error.contains(place) && error.contains(problem),
            "{more}: {error}"
        );
    }
}

#[test]
fn what_agents_ask_may_have_timeouts_of_its_own() {
    let timed = CALLS.replace("    rules:\n", "    timeouts: {whole: 1s}\n    rules:\n");
    let config = gateway(&timed).unwrap();
    let guards = config.guards_of(config.calls.as_ref().unwrap());
    assert!(format!("{:?}", guards.deadline).contains("1s"), "{guards:?}");
    let config = gateway(CALLS).unwrap();
    let guards = config.guards_of(config.calls.as_ref().unwrap());
    assert_eq!(
        format!("{:?}", guards.deadline),
        format!("{:?}", config.guards.deadline)
    );
}
