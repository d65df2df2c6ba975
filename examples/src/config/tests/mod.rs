mod balance;
mod calls;
mod grpc;
mod guards;
mod observe;
mod protocol;
mod tls;
mod traces;
mod upstreams;
mod websocket;

use std::{convert::Infallible, path::Path};

use http::{Request, Response, request};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tunnel_core::Routed;
use tunnel_layers::route::{RouteLayer, RulesWithUpstreams};

use super::{agent::parse as parse_agent, gateway::parse as parse_gateway, *};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

const GATEWAY: &str = r#"listen: 127.0.0.1:8080
agents:
  listen: 127.0.0.1:7000
  tokens:
    - name: web-agents
      token_env: WEB_TOKEN
      groups: [web]
rules:
  - id: web
    group: web
"#;

const AGENT: &str = r#"gateway: http://127.0.0.1:7000
groups: [web]
token_env: WEB_TOKEN
upstream:
  url: http://127.0.0.1:3000
"#;

fn around() -> Surroundings<'static> {
    Surroundings {
        env: &|name| (name == "WEB_TOKEN").then(|| SECRET.to_owned()),
        directory: Path::new("/nowhere"),
        files: None,
        allow: None,
    }
}

fn gateway(text: &str) -> Result<GatewayConfig, String> {
    parse_gateway("gateway.yaml", text, &around()).map_err(|error| error.to_string())
}

fn agent(text: &str) -> Result<AgentConfig, String> {
    parse_agent("agent.yaml", text, &around()).map_err(|error| error.to_string())
}

/// The errors of the good gateway's file with `from` replaced.
fn gateway_with(from: &str, to: &str) -> String {
    assert!(GATEWAY.contains(from), "{from}");
    gateway(&GATEWAY.replacen(from, to, 1)).unwrap_err()
}

fn agent_with(from: &str, to: &str) -> String {
    assert!(AGENT.contains(from), "{from}");
    agent(&AGENT.replacen(from, to, 1)).unwrap_err()
}

/// The id of the rule that a request finds.
async fn rule_of(rules: &RulesWithUpstreams, request: request::Builder) -> String {
    let (layer, _split) = RouteLayer::with_upstreams(rules.clone(), ());
    let service = layer.layer(service_fn(|request: Request<String>| async move {
        let routed: &Routed = request.extensions().get().unwrap();
        let response = Response::builder().header("x-rule", &*routed.rule);
        Ok::<_, Infallible>(response.body(String::new()).unwrap())
    }));
    let request = request.header("host", "a.example").body(String::new()).unwrap();
    let response = service.oneshot(request).await.unwrap();
    response.headers()["x-rule"].to_str().unwrap().to_owned()
}

#[test]
fn good_files_are_told_in_one_line() {
    assert_eq!(
        gateway(GATEWAY).unwrap().to_string(),
        "listen 127.0.0.1:8080, agents 127.0.0.1:7000, tokens 1, rules 1"
    );
    assert_eq!(
        agent(AGENT).unwrap().to_string(),
        "gateway http://127.0.0.1:7000, groups web, upstreams 1"
    );
}

#[test]
fn the_sample_files_are_good() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let around = Surroundings {
        env: &|_| Some(SECRET.to_owned()),
        directory: &directory,
        files: None,
        allow: None,
    };
    let text = |name: &str| fs::read_to_string(directory.join(name)).unwrap();
    parse_gateway("gateway.yaml", &text("gateway.yaml"), &around).unwrap();
    parse_gateway("proxy.yaml", &text("proxy.yaml"), &around).unwrap();
    parse_agent("agent.yaml", &text("agent.yaml"), &around).unwrap();
}

#[test]
fn an_unknown_key() {
    assert_eq!(
        gateway_with("    group: web", "    gruop: web"),
        "\
gateway.yaml:10:5: unknown key `gruop`: did you mean `group`? (known here: `id`, `priority`, `host`, `registered_hosts`, `path`, `grpc`, \
`protocol`, `methods`, `headers`, `group`, `upstream`, `respond`, `rewrite`, `request_headers`, `response_headers`, `timeout`, `timeouts`, \
`auth`, `rate_limit`, `concurrency`, `retry`, `balance`)
  10 |     gruop: web
     |     ^"
    );
}

#[test]
fn a_bad_duration() {
    assert_eq!(
        gateway_with("    group: web", "    group: web\n    timeout: 10"),
        "\
gateway.yaml:11:14: `10` has no unit: write 10s for seconds or 10ms for milliseconds
  11 |     timeout: 10
     |              ^"
    );
}

#[test]
fn a_double_id() {
    assert_eq!(
        gateway_with("    group: web", "    group: web\n  - id: web\n    group: web"),
        "\
gateway.yaml:11:9: the id `web` is taken by the rule in line 9: ids are labels, so give each rule its own
  11 |   - id: web
     |         ^"
    );
}

#[test]
fn a_double_key() {
    assert_eq!(
        gateway_with("    group: web", "    group: web\n    group: web"),
        "\
gateway.yaml:11:5: the key `group` stands here a second time: keep one of them
  11 |     group: web
     |     ^"
    );
}

#[test]
fn no_tokens_and_not_open() {
    let tokens = "  tokens:\n    - name: web-agents\n      token_env: WEB_TOKEN\n      groups: [web]\n";
    assert_eq!(
        gateway_with(tokens, ""),
        "\
gateway.yaml:3:3: no agent could connect: add `tokens:` with at least one token, or `open: true` if only trusted \
programs can reach this port
   3 |   listen: 127.0.0.1:7000
     |   ^"
    );
    let open = gateway(&GATEWAY.replace(tokens, "  open: true\n")).unwrap();
    assert_eq!(open.access, Access::Open);
    assert!(
        gateway_with("  tokens:", "  open: true\n  tokens:")
            .contains("keep one of `open`, and `tokens` or `auth`")
    );
}

#[test]
fn a_token_without_a_secret() {
    assert_eq!(
        gateway_with("      token_env: WEB_TOKEN\n", ""),
        "\
gateway.yaml:5:7: the token `web-agents` has no secret: give it one of `token_env: NAME`, `token_file: PATH` or \
`token: TEXT`
   5 |     - name: web-agents
     |       ^"
    );
    assert_eq!(
        gateway_with("WEB_TOKEN", "OTHER_TOKEN"),
        "gateway.yaml:6:18: the environment variable `OTHER_TOKEN` is not set: put the token into it"
    );
    let missing = gateway_with("token_env: WEB_TOKEN", "token_file: web.token");
    assert!(
        missing.starts_with("gateway.yaml:6:19: `/nowhere/web.token` cannot be read ("),
        "{missing}"
    );
}

#[test]
fn a_group_that_no_token_may_register() {
    assert_eq!(
        gateway_with("    group: web", "    group: api"),
        "\
gateway.yaml:10:12: no token lets an agent register the group `api` of the rule `web`: tokens have the groups `web`
  10 |     group: api
     |            ^"
    );
    gateway(
        &GATEWAY
            .replace("groups: [web]", "groups: \"*\"")
            .replace("group: web", "group: api"),
    )
    .unwrap();
}

#[test]
fn a_key_that_is_missing() {
    assert_eq!(
        gateway_with("listen: 127.0.0.1:8080\n", ""),
        "\
gateway.yaml:8:3: `listen` is missing for these rules: write one such as `listen: 127.0.0.1:8080`
   8 |   - id: web
     |   ^"
    );
    assert_eq!(
        gateway_with("  - id: web\n    group: web", "  - group: web"),
        "\
gateway.yaml:9:5: the key `id` is missing: write one such as `id: web`
   9 |   - group: web
     |     ^"
    );
}

#[test]
fn a_bad_address() {
    assert_eq!(
        gateway_with("127.0.0.1:7000", "localhost:7000"),
        "\
gateway.yaml:3:11: `localhost:7000` is no address to listen on: write IP:PORT, such as 127.0.0.1:8080 or [::]:8080
   3 |   listen: localhost:7000
     |           ^"
    );
    assert!(gateway_with("127.0.0.1:7000", "127.0.0.1:8080").contains("has this address already"));
}

#[test]
fn a_bad_pattern() {
    assert_eq!(
        gateway_with("    group: web", "    group: web\n    path: {regex: \"/(\"}"),
        "\
gateway.yaml:11:11: rule \"web\": path: the pattern \"/(\" is not a regular expression: regex parse error: error: \
unclosed group
  11 |     path: {regex: \"/(\"}
     |           ^"
    );
}

#[test]
fn what_is_wrong_in_a_rule_is_found_at_its_line() {
    for (more, place, right) in [
        ("path: api", "11:11", "does not start with `/`"),
        ("path: 7", "11:5", "numbers, true and false in quotes"),
        ("path: {regexp: /}", "11:12", "did you mean `regex`?"),
        ("path: {}", "11:11", "exactly one key"),
        ("path: {exact: /a, prefix: /b}", "11:23", "only one key"),
        ("host: \"a:80\"", "11:11", "rules match every port"),
        ("methods: [GET, post]", "11:20", "in capitals"),
        ("methods: GET", "11:14", "such as [a, b]"),
        ("priority: high", "11:15", "such as 10 or -10"),
        ("headers: {x-a: b, x b: c}", "11:23", "such as x-request-source"),
        (
            "headers:\n      x-a: {regex: \"[\"}",
            "12:7",
            "is not a regular expression",
        ),
        ("headers: {x-a: {present: false}}", "11:15", "`present: true`"),
        (
            "rewrite: {strip_prefix: true}",
            "11:14",
            "match with a path prefix",
        ),
        (
            "rewrite: {strip_prefix: true, replace_prefix: /}",
            "11:14",
            "keep one of",
        ),
        ("rewrite: {host: \"a b\"}", "11:14", "such as app.internal"),
        (
            "request_headers: {remove: [te]}",
            "11:32",
            "belongs to the connection",
        ),
        (
            "response_headers:\n      set:\n        x-a: b\n        connection: x",
            "14:9",
            "belongs to the connection",
        ),
        (
            "respond: {status: 200}",
            "11:14",
            "keep one of `group`, `upstream` and `respond`",
        ),
        ("timeout: 0s", "11:14", "at least 1ms"),
    ] {
        let error = gateway_with("    group: web", &format!("    group: web\n    {more}"));
        let place = format!("gateway.yaml:{place}: ");
        assert!(
            error.starts_with(&place) && error.contains(right),
            "{more}\n{error}"
        );
    }
    for (action, place, right) in [
        ("priority: 1", "9:5", "`group: NAME`"),
        ("group: a b", "10:12", "use 1 to 253"),
        ("respond: {status: 101}", "10:23", "from 200 to 599"),
        ("respond: {status: 900}", "10:23", "from 200 to 599"),
        (
            "respond: {status: 200, headers: {connection: x}}",
            "10:14",
            "belongs to the connection",
        ),
        (
            "respond: {status: 200}\n    rewrite: {host: a}",
            "11:14",
            "leave `rewrite` out",
        ),
    ] {
        let error = gateway_with("    group: web", &format!("    {action}"));
        let place = format!("gateway.yaml:{place}: ");
        assert!(
            error.starts_with(&place) && error.contains(right),
            "{action}\n{error}"
        );
    }
}

#[test]
fn all_problems_are_told_in_the_order_of_the_file() {
    let text = GATEWAY.replace("listen: 127.0.0.1:8080", "listen: here").replace(
        "    group: web\n",
        "    group: api\n    path: nix\n  - id: web\n    group: web\n",
    );
    let error = gateway(&text).unwrap_err();
    let places: Vec<_> = error
        .lines()
        .filter_map(|line| line.strip_prefix("gateway.yaml:"))
        .collect();
    let places: Vec<_> = places
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(place, _)| place)
        .collect();
    assert_eq!(places, ["1:9", "10:12", "11:11", "12:9"], "{error}");
}

#[test]
fn limits_have_bounds() {
    for (limits, right) in [
        ("{head_bytes: 1MiB}", "1KiB to 56KiB"),
        ("{head_fields: 9}", "10 to 180"),
        ("{max_connections: 0}", "at least 1"),
        ("{credit: 1TB}", "such as 256KiB"),
        ("{head_timeout: soon}", "such as 500ms"),
        ("{max_conections: 1}", "did you mean `max_connections`?"),
        ("{max_connections_per_address: 0}", "at least 1"),
        ("{body_idle_timeout: 0s}", "at least 1ms"),
        ("{exempt_addresses: [10.1.2.3/8]}", "write `10.0.0.0/8`"),
    ] {
        let error = gateway_with("rules:", &format!("limits: {limits}\nrules:"));
        assert!(
            error.starts_with("gateway.yaml:8:") && error.contains(right),
            "{limits}\n{error}"
        );
    }
    let peers = gateway_with("rules:", "trusted_peers: [10.1.2.3/8]\nrules:");
    assert!(
        peers.starts_with("gateway.yaml:8:17: ") && peers.contains("write `10.0.0.0/8`"),
        "{peers}"
    );
}

#[test]
fn no_secret_is_printed() {
    for text in [
        GATEWAY.replace("token_env: WEB_TOKEN", "token: hush"),
        GATEWAY.replace("token_env: WEB_TOKEN", "token: [hush]"),
        GATEWAY.replace("token_env: WEB_TOKEN", "token: {hush: hush}"),
        GATEWAY.replace("token_env: WEB_TOKEN", "token: \"hush"),
        GATEWAY.replace("token_env: WEB_TOKEN", "token: hush hush hush hush hush"),
        GATEWAY.replace("token_env: WEB_TOKEN", "token:\n        hush\n        - hush"),
        GATEWAY.replace(
            "    - name: web-agents\n      token_env: WEB_TOKEN\n      groups: [web]\n",
            "    hush\n",
        ),
        GATEWAY.replace(
            "    group: web",
            "    group: web\n    request_headers: {set: {authorization: \"hush\\n\"}}",
        ),
    ] {
        let error = gateway(&text).unwrap_err();
        assert!(!error.contains("hush"), "{error}");
    }
    let config = gateway(GATEWAY).unwrap();
    assert!(!format!("{config:?}").contains(SECRET));
    let config = agent(AGENT).unwrap();
    assert!(!format!("{config:?}").contains(SECRET));
}

#[test]
fn an_agents_mistakes_are_found_at_their_lines() {
    for (from, to, place, right) in [
        (
            "http://127.0.0.1:7000",
            "127.0.0.1:7000",
            "1:10",
            "https://gateway.example:7000",
        ),
        ("[web]", "[]", "2:9", "such as `groups: [web]`"),
        ("[web]", "[web, a b]", "2:15", "use 1 to 253"),
        ("upstream:", "id: \"a b\"\nupstream:", "4:5", "use 1 to 253"),
        ("upstream:", "lanes: 9\nupstream:", "4:8", "write 1 to 8"),
        ("upstream:", "weight: 0\nupstream:", "4:9", "at least 1"),
        ("upstream:", "zone: \"\"\nupstream:", "4:7", "1 to 128 bytes"),
        (
            "upstream:",
            "max_exchanges: 1000001\nupstream:",
            "4:16",
            "write 1 to 1000000",
        ),
        (
            "token_env: WEB_TOKEN",
            "token: hush",
            "3:8",
            "openssl rand -hex 32",
        ),
        (
            "http://127.0.0.1:3000",
            "127.0.0.1:3000",
            "5:8",
            "write http://127.0.0.1:3000",
        ),
        (
            "http://127.0.0.1:3000",
            "http://a\n  protocol: http3",
            "6:13",
            "did you mean `http1`?",
        ),
        (
            "http://127.0.0.1:3000",
            "http://a\nroutes:\n  - upstream: {url: http://a}",
            "7:5",
            "needs `host` or `path`",
        ),
        (
            "http://127.0.0.1:3000",
            "http://a\nroutes:\n  - path: x\n    upstream: {url: http://a}",
            "7:11",
            "such as /api",
        ),
    ] {
        let error = agent_with(from, to);
        let place = format!("agent.yaml:{place}: ");
        assert!(
            error.starts_with(&place) && error.contains(right),
            "{to}\n{error}"
        );
    }
    agent(&AGENT.replace("token_env: WEB_TOKEN\n", "")).unwrap();
}

#[test]
fn an_agent_has_one_gateway_or_several() {
    let several = "gateways:
  - http://127.0.0.1:7000
  - url: http://gateway.example:7001
lookup_interval: 5s";
    let text = AGENT.replacen("gateway: http://127.0.0.1:7000", several, 1);
    let config = agent(&text).unwrap();
    assert_eq!(
        config.gateway,
        "http://127.0.0.1:7000,http://gateway.example:7001"
    );
    assert_eq!(
        agent_with("gateway: http://127.0.0.1:7000\n", ""),
        "agent.yaml: the key `gateway` is missing: write one such as `gateway: https://gateway.example.com:7000`, or several under \
         `gateways`"
    );
    let wrong = agent_with(
        "gateway: http://127.0.0.1:7000",
        "gateways: [\"http://a\", \"b\"]",
    );
    assert!(
        wrong.starts_with("agent.yaml:1:24: the gateway's address \"b\""),
        "{wrong}"
    );
    let wrong = agent_with("groups:", "gateways: [\"http://a\"]\ngroups:");
    assert!(
        wrong.starts_with("agent.yaml:2:12: there are `gateway` and `gateways`"),
        "{wrong}"
    );
    let nine = format!("gateways: [{}]", ["http://a"; 9].join(", "));
    let wrong = agent_with("gateway: http://127.0.0.1:7000", &nine);
    assert!(wrong.contains("at most 8 gateways"), "{wrong}");
}
