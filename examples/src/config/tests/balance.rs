//! How agents are chosen, and what is sent again.

use super::*;

/// A good file with more at its top.
fn with(top: &str) -> Result<GatewayConfig, String> {
    gateway(&GATEWAY.replace("rules:", &format!("{top}\nrules:")))
}

/// What one of the balancings prints in `Debug`, which has all of its settings.
fn told(top: &str) -> String {
    format!("{:?}", with(top).unwrap().balance)
}

#[test]
fn every_policy_has_a_word() {
    for (word, policy) in [
        ("least-pending", "LeastPending("),
        ("round-robin", "RoundRobin("),
        ("weighted-random", "WeightedRandom("),
        ("peak-ewma", "PeakEwma("),
        ("pick-first", "PickFirst("),
    ] {
        assert!(told(&format!("balance: {word}")).contains(policy), "{word}");
        assert!(
            told(&format!("balance: {{policy: {word}}}")).contains(policy),
            "{word}"
        );
    }
    assert!(told("").contains("LeastPending("));
    let hashed = "balance: {policy: consistent-hash, hash: address, load_factor: 2.5}";
    assert!(told(hashed).contains("load_factor: 2.5"));
}

#[test]
fn what_is_left_out_is_what_stands_above() {
    let file = "balance:\n  policy: round-robin\n  wait: 7s\n  outliers: default\n  groups:\n    web: {policy: peak-ewma}\n    \
                api: {outliers: none, wait: 8s}";
    let balance = told(file);
    let (all, groups) = balance.split_once("groups: ").unwrap();
    assert!(all.contains("RoundRobin(") && all.contains("wait: 7s"), "{all}");
    let (web, api) = groups.split_once("api").unwrap();
    assert!(
        web.contains("PeakEwma(") && web.contains("wait: 7s") && web.contains("outliers: Some"),
        "{web}"
    );
    assert!(
        api.contains("RoundRobin(") && api.contains("wait: 8s") && api.contains("outliers: None"),
        "{api}"
    );
    let rule = GATEWAY.replace("    group: web", "    group: web\n    balance: {wait: 9s}");
    let balance = gateway(&rule.replace("rules:", &format!("{file}\nrules:")))
        .unwrap()
        .balance;
    let balance = format!("{balance:?}");
    let (_, rules) = balance.split_once("rules: ").unwrap();
    assert!(
        rules.contains("PeakEwma(") && rules.contains("wait: 9s"),
        "{rules}"
    );
}

#[test]
fn wrong_balancings_are_found_at_their_lines() {
    for (balance, place, right) in [
        ("least-pendign", "8:10", "did you mean `least-pending`?"),
        ("{policy: fastest}", "8:19", "unknown policy"),
        ("{polcy: pick-first}", "8:11", "did you mean `policy`?"),
        ("consistent-hash", "8:10", "`hash: {header: x-tenant}`"),
        ("{hash: address}", "8:17", "`policy: consistent-hash`"),
        ("{load_factor: 2}", "8:24", "`policy: consistent-hash`"),
        (
            "{policy: consistent-hash, hash: address, load_factor: 0.5}",
            "8:64",
            "such as 1.25",
        ),
        (
            "{policy: consistent-hash, hash: adress}",
            "8:42",
            "did you mean `address`?",
        ),
        (
            "{policy: consistent-hash, hash: {header: \"a b\"}}",
            "8:51",
            "such as x-tenant",
        ),
        (
            "{policy: consistent-hash, hash: {cookie: \"a=b\"}}",
            "8:51",
            "such as sid",
        ),
        ("{zone: \"\"}", "8:17", "1 to 128 bytes"),
        ("{slow_start: 30}", "8:23", "write 30s"),
        ("{outliers: all}", "8:21", "`default`, `none`"),
        ("{outliers: {max_ejected: 101}}", "8:35", "from 0 to 100"),
        (
            "{outliers: {ejection: 2m, max_ejection: 1m}}",
            "8:50",
            "less than the first",
        ),
        ("{groups: {\"a b\": round-robin}}", "8:20", "use 1 to 253"),
        (
            "{groups: {web: {groups: {api: round-robin}}}}",
            "8:35",
            "take it there",
        ),
    ] {
        let error = with(&format!("balance: {balance}")).unwrap_err();
        let place = format!("gateway.yaml:{place}: ");
        assert!(
            error.starts_with(&place) && error.contains(right),
            "{balance}\n{error}"
        );
    }
}

#[tokio::test]
async fn a_rule_says_what_is_sent_again() {
    let retry = "retry: {attempts: 3, methods: [POST], statuses: [409], grpc: [UNAVAILABLE, ABORTED], max_body: 1KiB, \
                 budget: {percent: 10, per_second: 0}, backoff: {first: 10ms, cap: 1s}}";
    let text = GATEWAY.replace("    group: web", &format!("    group: web\n    {retry}"));
    let rules = gateway(&text).unwrap().listeners[0].rules.clone();
    let (layer, _split) = RouteLayer::with_upstreams(rules, ());
    let service = layer.layer(service_fn(|request: Request<String>| async move {
        let mut response = Response::new(String::new());
        let routed: &Routed = request.extensions().get().unwrap();
        response.extensions_mut().insert(routed.clone());
        Ok::<_, Infallible>(response)
    }));
    let request = Request::builder()
        .header("host", "a.example")
        .body(String::new())
        .unwrap();
    let response = service.oneshot(request).await.unwrap();
    let policy = response
        .extensions()
        .get::<Routed>()
        .unwrap()
        .retry
        .clone()
        .unwrap();
    let expected = tunnel_core::RetryPolicy::new(3)
        .methods([http::Method::POST])
        .statuses([http::StatusCode::CONFLICT])
        .grpc_codes([14, 10])
        .max_body(1024)
        .budget(tunnel_core::RetryBudget::new(10, 0))
        .backoff(
            std::time::Duration::from_millis(10),
            std::time::Duration::from_secs(1),
        );
    assert_eq!(*policy, expected);
}

#[test]
fn wrong_retries_are_found_at_their_lines() {
    for (more, place, right) in [
        ("retry: {attempts: 1}", "11:23", "from 2 to 10"),
        ("retry: {}", "11:12", "the key `attempts` is missing"),
        ("retry: {attempts: 2, methods: [get]}", "11:36", "in capitals"),
        (
            "retry: {attempts: 2, statuses: [200]}",
            "11:37",
            "from 400 to 599",
        ),
        (
            "retry: {attempts: 2, grpc: [UNAVAILBLE]}",
            "11:33",
            "did you mean `UNAVAILABLE`?",
        ),
        ("retry: {attempts: 2, max_body: 2MiB}", "11:36", "1MiB or less"),
        (
            "retry: {attempts: 2, backoff: {first: 2s, cap: 1s}}",
            "11:35",
            "at most `cap`",
        ),
        (
            "retry: {attempts: 2, backoff: {first: 1s, cap: 11s}}",
            "11:35",
            "at most 10s",
        ),
        ("balance: fastest", "11:14", "unknown policy"),
    ] {
        let error = gateway_with("    group: web", &format!("    group: web\n    {more}"));
        let place = format!("gateway.yaml:{place}: ");
        assert!(
            error.starts_with(&place) && error.contains(right),
            "{more}\n{error}"
        );
    }
    for (more, right) in [
        ("balance: round-robin", "that go to a group"),
        ("retry: {attempts: 2}", "answers itself"),
    ] {
        let error = gateway_with(
            "    group: web",
            &format!("    respond: {{status: 200}}\n    {more}"),
        );
        assert!(
            error.starts_with("gateway.yaml:11:") && error.contains(right),
            "{more}\n{error}"
        );
    }
}
