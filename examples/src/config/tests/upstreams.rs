//! Upstreams of agents and gateways, and listeners.

use super::*;

/// An agent's file with this upstream.
fn upstream(text: &str) -> Result<AgentConfig, String> {
    let whole = AGENT.replace("upstream:\n  url: http://127.0.0.1:3000\n", text);
    assert_ne!(whole, AGENT);
    agent(&whole)
}

const PROXY: &str = "\
upstreams:
  site: {url: http://127.0.0.1:3000}
  api: {endpoints: [http://127.0.0.1:3001, {url: http://127.0.0.1:3002, weight: 3}], balance: weighted-random}
listeners:
  - name: public
    listen: 127.0.0.1:8080
    rules:
      - {id: api, path: /api, upstream: api}
      - {id: site, upstream: site}
  - name: grpc
    listen: 127.0.0.1:8081
    timeouts: {whole: 5s}
    rules: [{id: calls, grpc: true, upstream: api}]
";

/// The errors of that file with `from` replaced.
fn proxy_with(from: &str, to: &str) -> String {
    assert!(PROXY.contains(from), "{from}");
    gateway(&PROXY.replacen(from, to, 1)).unwrap_err()
}

#[test]
fn an_upstream_says_all_that_can_be_said() {
    let config = upstream(
        "\
upstream:
  endpoints:
    - http://127.0.0.1:3000
    - {url: http://127.0.0.1:3001, weight: 3, zone: eu-1}
  protocol: h2c
  balance:
    policy: consistent-hash
    load_factor: 1.5
    hash: {header: x-user}
    slow_start: 10s
    zone: {name: eu-1, min_agents: 2}
    outliers: {consecutive_failures: 3, ejection: 5s}
  resolve: 30s
  health: {grpc: {service: acme.Billing, watch: true}, interval: 1s, timeout: 500ms, healthy_after: 1, unhealthy_after: 2, jitter: 0}
  max_connections: 4
  initial_connections: 2
  max_idle_connections: 0
  elastic: true
  queue_timeout: 100ms
  dial_timeout: 1s
  dial_backoff: {cap: 2s}
  idle_timeout: 1m
  max_life: 1h
  keepalive: {}
  preserve_host: false
",
    )
    .unwrap();
    let told = format!("{:?}", config.upstreams);
    for part in [
        "127.0.0.1:3001",
        "http2: 4",
        "elastic: true",
        "initial_connections: 2",
        "max_idle: 0",
        "max_life: Some(3600s)",
        "ping: Some((300s, 20s))",
        "preserve_host: false",
        "queue_timeout: 100ms",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn what_is_wrong_with_an_upstream_is_told_at_its_line() {
    for (text, place, message) in [
        (
            "upstream: {protocol: h2c}\n",
            "4:11",
            "add `url: http://HOST:PORT`",
        ),
        (
            "upstream: {url: http://a, endpoints: [http://b]}\n",
            "4:38",
            "keep one of `url` and `endpoints`",
        ),
        ("upstream: {endpoints: []}\n", "4:23", "no endpoint"),
        (
            "upstream: {url: \"srv+http://_web._tcp.example.com:80\"}\n",
            "4:17",
            "SRV records say themselves",
        ),
        (
            "upstream: {endpoints: [{url: \"srv+http://_web._tcp.example.com\", weight: 2}]}\n",
            "4:74",
            "SRV records say the weights",
        ),
        (
            "upstream: {url: \"srv+http://_web._tcp.example.com\", dns: [nobody]}\n",
            "4:59",
            "`nobody` is no server",
        ),
        (
            "upstream:\n  endpoints:\n    - http://a\n    - b\n",
            "7:7",
            "write http://b",
        ),
        (
            "upstream: {endpoints: [{url: http://a, weight: 2000}]}\n",
            "4:48",
            "at most 1000",
        ),
        (
            "upstream: {url: http://a, balance: consistent-hash}\n",
            "4:36",
            "nothing says which requests belong together",
        ),
        (
            "upstream: {url: http://a, balance: {policy: fastest}}\n",
            "4:45",
            "unknown policy `fastest`",
        ),
        (
            "upstream: {url: http://a, health: {http: /, tcp: true}}\n",
            "4:35",
            "write one of `http",
        ),
        (
            "upstream: {url: http://a, health: {http: {path: healthz}}}\n",
            "4:49",
            "such as /healthz",
        ),
        (
            "upstream: {url: http://a, health: {http: {path: /, status: [99]}}}\n",
            "4:61",
            "99 is no final status",
        ),
        (
            "upstream: {url: http://a, health: {grpc: {}}}\n",
            "4:17",
            "need HTTP/2",
        ),
        (
            "upstream: {url: http://a, dial_backoff: {first: 2s, cap: 1s}}\n",
            "4:41",
            "`first` is more than `cap`",
        ),
    ] {
        let error = upstream(text).unwrap_err();
        let beginning = format!("agent.yaml:{place}: ");
        assert!(
            error.starts_with(&beginning) && error.contains(message),
            "{text}{error}"
        );
    }
}

#[tokio::test]
async fn every_listener_has_its_rules() {
    let config = gateway(PROXY).unwrap();
    assert_eq!(
        config.to_string(),
        "listen 127.0.0.1:8080, 127.0.0.1:8081, upstreams 2, rules 3"
    );
    assert_eq!((config.access, config.agents_listen), (Access::Closed, None));
    let names: Vec<_> = config.listeners.iter().map(|listener| &*listener.name).collect();
    assert_eq!(names, ["public", "grpc"]);
    let [public, grpc] = [0, 1].map(|index| config.listeners[index].rules.clone());
    assert_eq!(rule_of(&public, Request::get("/api/x")).await, "api");
    assert_eq!(rule_of(&public, Request::get("/x")).await, "site");
    let call = Request::post("/a.B/C").header("content-type", "application/grpc");
    assert_eq!(rule_of(&grpc, call).await, "calls");
}

#[test]
fn agents_and_upstreams_may_stand_beside_each_other() {
    let text = GATEWAY.replace(
        "rules:\n",
        "upstreams: {site: {url: http://127.0.0.1:3000}}\nrules:\n  - {id: site, path: /site, upstream: site}\n",
    );
    let listeners = "listeners: [{name: second, listen: 127.0.0.1:8090, rules: [{id: more, group: web}]}]\n";
    let config = gateway(&(text + listeners)).unwrap();
    assert_eq!(
        config.to_string(),
        "listen 127.0.0.1:8080, 127.0.0.1:8090, agents 127.0.0.1:7000, tokens 1, upstreams 1, rules 3"
    );
    assert_eq!(config.listeners[0].name, "main");
}

#[test]
fn what_is_wrong_with_listeners_is_told_at_its_line() {
    for (from, to, message) in [
        (
            "upstream: site}\n  - name",
            "upstream: sit}\n  - name",
            "did you mean `site`?",
        ),
        (
            "upstream: site}\n  - name",
            "group: web}\n  - name",
            "add `agents:`",
        ),
        (
            "upstream: site}\n  - name",
            "upstream: site, respond: {status: 200}}\n  - name",
            "keep one of `group`, `upstream` and `respond`",
        ),
        (
            "upstream: site}\n  - name",
            "upstream: site, balance: round-robin}\n  - name",
            "leave `balance` out",
        ),
        (
            "name: grpc",
            "name: public",
            "another listener is called `public`",
        ),
        ("name: grpc", "name: main", "another listener is called `main`"),
        ("127.0.0.1:8081", "127.0.0.1:8080", "has this address already"),
        (
            "id: calls",
            "id: site",
            "the id `site` is taken by the rule in line 9",
        ),
        (
            "rules: [{id: calls, grpc: true, upstream: api}]",
            "rules: []",
            "there are no rules",
        ),
        (
            "listeners:\n",
            "listen: 127.0.0.1:80\nlisteners:\n",
            "`rules` is missing",
        ),
        (
            "listeners:\n",
            "rules: [{id: r, upstream: site}]\nlisteners:\n",
            "`listen` is missing",
        ),
    ] {
        let error = proxy_with(from, to);
        assert!(error.contains(message), "{to}: {error}");
    }
    let error = gateway("upstreams: {site: {url: http://a}}\n").unwrap_err();
    assert!(error.contains("nothing can come in"), "{error}");
    let error = gateway("listen: 127.0.0.1:80\nrules: [{id: a, upstream: a}]\n").unwrap_err();
    assert!(error.contains("the file has no upstreams"), "{error}");
}

#[test]
fn rules_and_upstreams_may_change_and_ports_may_not() {
    let old = gateway(PROXY).unwrap();
    let fixed = |from: &str, to: &str| {
        let new = gateway(&PROXY.replacen(from, to, 1)).unwrap();
        let changes = old.changes(&new);
        assert!(!changes.is_empty());
        GatewayConfig::unchangeable(&changes).join(" ")
    };
    assert_eq!(fixed("path: /api", "path: /v2"), "");
    assert_eq!(fixed("timeouts: {whole: 5s}", "timeouts: {whole: 6s}"), "");
    assert_eq!(fixed("weight: 3", "weight: 4"), "");
    assert_eq!(
        fixed("127.0.0.1:8081", "127.0.0.1:8082"),
        "listeners[grpc].listen"
    );
    assert_eq!(
        fixed("name: grpc", "name: calls"),
        "listeners[grpc] listeners[calls]"
    );
}

#[tokio::test]
async fn an_upstream_that_stays_keeps_its_connections() {
    let old = gateway(PROXY).unwrap();
    let mut new = gateway(&PROXY.replace("weight: 3", "weight: 4")).unwrap();
    old.upstreams.iter().for_each(|(_, upstream)| upstream.close());
    new.keep(&old, true);
    let refused = async |name: &str| {
        let upstream = new.upstreams.get(name).unwrap().clone();
        let request = Request::get("http://a/").body(String::new()).unwrap();
        let error = upstream.oneshot(request).await.unwrap_err();
        error.cause() == tunnel_core::Cause::Draining
    };
    assert!(refused("site").await, "the old one, which is closed");
    assert!(!refused("api").await, "a new one");
}

#[tokio::test]
async fn what_is_drained_stays_so_in_an_upstream_that_changes() {
    let old = gateway(PROXY).unwrap();
    let mut new = gateway(&PROXY.replace("weight: 3", "weight: 4")).unwrap();
    let drained = old.upstreams.get("api").unwrap().endpoints()[0].name.clone();
    assert!(old.upstreams.get("api").unwrap().drain_endpoint(&drained));
    assert!(old.upstreams.drain("site"));
    new.keep(&old, true);
    assert!(new.upstreams.get("site").unwrap().is_draining());
    let states = new.upstreams.get("api").unwrap().endpoints();
    for state in states {
        assert_eq!(state.is_draining, state.name == drained, "{state:?}");
    }
}
