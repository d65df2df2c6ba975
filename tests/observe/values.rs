//! Every metric has the value that a counted workload implies.

use axum::Router;
use http::{HeaderValue, StatusCode, header};
use tunnel_core::{RetryPolicy, balance::Outliers};
use tunnel_layers::route::Rule;
use tunnel_tests::{
    client::Version,
    tunnel::{GROUP, group},
    wait::{eventually, within_limit},
    websocket::{self, Frame, handshake},
};

use crate::{
    app::{HELLO, Stuck, app},
    world::{AGENT, Plan, TOKEN, World, call, exchange, get, post},
};

/// The labels of a series of the gateway.
fn at_gateway(rule: &str, group: &str, protocol: &str, more: &str) -> String {
    format!("role=\"gateway\",rule=\"{rule}\",group=\"{group}\",upstream=\"\",protocol=\"{protocol}\"{more}")
}

/// The labels of a series of the agent.
fn at_agent(protocol: &str, more: &str) -> String {
    format!("role=\"agent\",rule=\"\",group=\"app\",upstream=\"\",protocol=\"{protocol}\"{more}")
}

#[tokio::test]
async fn exchanges_are_counted_at_both_ends() {
    within_limit(async {
        let stuck = Stuck::default();
        let world = World::with_app(Plan::default(), app(stuck.clone())).await;
        let mut client = world.client().await;
        for n in 0..7 {
            let answer = exchange(&mut client, get(&format!("/app/ok/{n}"))).await;
            assert_eq!(answer, Some((StatusCode::OK, HELLO.len())));
        }
        for _ in 0..3 {
            exchange(&mut client, post("/app/echo/x", "ping")).await.unwrap();
        }
        for _ in 0..2 {
            exchange(&mut client, get("/app/fail/x")).await.unwrap();
        }
        assert_eq!(exchange(&mut client, get("/app/broken/x")).await, None);
        for (path, times) in [("/pkg.Greeter/Say", 4), ("/pkg.Greeter/Fail", 1)] {
            for _ in 0..times {
                exchange(&mut client, call(path, "12345")).await.unwrap();
            }
        }
        for (path, status) in [
            ("/hello", 200),
            ("/none", 404),
            ("/private/ok/x", 401),
            ("/empty", 503),
        ] {
            let (answer, _) = exchange(&mut client, get(path)).await.unwrap();
            assert_eq!(answer, status, "{path}");
        }
        let opened = websocket::open(Version::Http1, world.addr, handshake("/app/ws/x")).await;
        let (_, mut peer) = opened.upgraded();
        peer.send(&Frame::text("hello")).await;
        assert_eq!(peer.recv().await, Frame::text("hello"));
        let open = world.scrape();
        let websocket = at_gateway("app", "app", "websocket", "");
        assert_eq!(open.value("tunnel_exchanges_open", &websocket), 1.0);
        assert_eq!(
            open.value("tunnel_exchanges_open", &at_agent("websocket", "")),
            1.0
        );
        peer.close(1000, "").await;
        peer.finish().await;
        // Given up while the app has it.
        let mut gone = world.client().await;
        let stuck_call = tokio::spawn(async move { exchange(&mut gone, get("/app/stuck/x")).await });
        eventually(|| stuck.count() == 1).await;
        stuck_call.abort();
        world.told(24, 20).await;

        let scrape = world.scrape();
        let total = |labels: String| scrape.get("tunnel_exchanges_total", &labels).unwrap_or_default();
        for (labels, expected) in [
            (at_gateway("app", "app", "http", ",status=\"2xx\""), 10.0),
            (at_gateway("broken", "app", "http", ",status=\"2xx\""), 1.0),
            (at_gateway("app", "app", "http", ",status=\"5xx\""), 2.0),
            (at_gateway("app", "app", "http", ",status=\"none\""), 1.0),
            (at_gateway("app", "app", "websocket", ",status=\"1xx\""), 1.0),
            (at_gateway("calls", "app", "grpc", ",status=\"OK\""), 4.0),
            (at_gateway("calls", "app", "grpc", ",status=\"NOT_FOUND\""), 1.0),
            (at_gateway("hello", "", "http", ",status=\"2xx\""), 1.0),
            (at_gateway("", "", "http", ",status=\"4xx\""), 1.0),
            (at_gateway("private", "app", "http", ",status=\"4xx\""), 1.0),
            (
                at_gateway("empty", "nobody-serves", "http", ",status=\"5xx\""),
                1.0,
            ),
            (at_agent("http", ",status=\"2xx\""), 11.0),
            (at_agent("http", ",status=\"5xx\""), 2.0),
            (at_agent("http", ",status=\"none\""), 1.0),
            (at_agent("websocket", ",status=\"1xx\""), 1.0),
            (at_agent("grpc", ",status=\"OK\""), 4.0),
            (at_agent("grpc", ",status=\"NOT_FOUND\""), 1.0),
        ] {
            assert_eq!(
                total(labels.clone()),
                expected,
                "{labels}\n{}",
                scrape.of("tunnel_exchanges_total")
            );
        }
        let failures = |labels: String| scrape.get("tunnel_exchange_failures_total", &labels);
        for (rule, group, cause, count) in [
            ("app", "app", "canceled", 1.0),
            ("broken", "app", "upstream", 1.0),
            ("", "", "no-route", 1.0),
            ("private", "app", "unauthenticated", 1.0),
            ("empty", "nobody-serves", "no-agent", 1.0),
        ] {
            let labels = at_gateway(rule, group, "http", &format!(",cause=\"{cause}\""));
            assert_eq!(
                failures(labels),
                Some(count),
                "{rule} {cause}\n{}",
                scrape.of("tunnel_exchange_failures")
            );
        }
        assert_eq!(
            scrape.value(
                "tunnel_exchange_failures_total",
                &at_agent("http", ",cause=\"canceled\"")
            ),
            1.0
        );
        let http = at_gateway("app", "app", "http", "");
        let hellos = (7 * HELLO.len()) as f64;
        assert_eq!(
            scrape.value("tunnel_exchange_sent_bytes_total", &http),
            hellos + 12.0
        );
        assert_eq!(scrape.value("tunnel_exchange_received_bytes_total", &http), 12.0);
        let grpc = at_gateway("calls", "app", "grpc", "");
        assert_eq!(scrape.value("tunnel_exchange_received_bytes_total", &grpc), 25.0);
        assert_eq!(scrape.value("tunnel_exchange_sent_bytes_total", &grpc), 25.0);
        assert_eq!(
            scrape.value("tunnel_exchange_duration_seconds_count", &http),
            13.0
        );
        assert_eq!(
            scrape.value("tunnel_exchange_first_byte_seconds_count", &http),
            12.0
        );
        // The message and its head, and a close; masked from the client.
        assert_eq!(
            scrape.value("tunnel_exchange_received_bytes_total", &websocket),
            (6 + 5 + 6 + 2) as f64
        );
        assert_eq!(
            scrape.value("tunnel_exchange_sent_bytes_total", &websocket),
            (2 + 5 + 2 + 2) as f64
        );
        let at_agents = at_agent("websocket", "");
        assert!(scrape.value("tunnel_exchange_received_bytes_total", &at_agents) >= 19.0);
        for labels in [&http, &grpc, &websocket, &at_agent("http", ""), &at_agents] {
            assert_eq!(scrape.value("tunnel_exchanges_open", labels), 0.0, "{labels}");
        }
        let agent = |outcome: &str, role: &str| {
            let labels = format!("role=\"{role}\",agent=\"{AGENT}\",outcome=\"{outcome}\"");
            scrape
                .get("tunnel_agent_exchanges_total", &labels)
                .unwrap_or_default()
        };
        for role in ["gateway", "agent"] {
            assert_eq!(agent("ok", role), 10.0 + 4.0 + 1.0, "{role}");
            assert_eq!(agent("server-error", role), 2.0, "{role}");
            assert_eq!(agent("client-error", role), 1.0, "{role}");
            assert_eq!(agent("canceled", role), 1.0, "{role}");
            assert_eq!(agent("failed", role), 1.0, "{role}");
        }

        // The overview says the same.
        let rows = world.overview.snapshot();
        let row = |rule: &str| rows.iter().find(|row| &*row.rule == rule).unwrap();
        assert_eq!((row("app").requests, row("app").open), (14, 0));
        assert_eq!(row("app").failures, [("canceled", 1)]);
        assert_eq!(row("broken").failures, [("upstream", 1)]);
        assert_eq!(row("hello").requests, 1);
        assert_eq!(row("calls").statuses, [0, 0, 4, 0, 1, 0]);
    })
    .await;
}

#[tokio::test]
async fn limits_that_were_hit_are_counted() {
    within_limit(async {
        let plan = Plan {
            rate: 5,
            ..Plan::default()
        };
        let world = World::with_app(plan, app(Stuck::default())).await;
        let mut client = world.client().await;
        for _ in 0..8 {
            exchange(&mut client, get("/app/ok/x")).await.unwrap();
        }
        let scrape = world.scrape();
        let limit = |limit: &str| {
            let labels = format!("role=\"gateway\",limit=\"{limit}\"");
            scrape.value("tunnel_limits_hit_total", &labels)
        };
        assert_eq!(
            (limit("rate"), limit("concurrency"), limit("deadline")),
            (3.0, 0.0, 0.0)
        );
    })
    .await;

    within_limit(async {
        let plan = Plan {
            max: 2,
            ..Plan::default()
        };
        let stuck = Stuck::default();
        let world = World::with_app(plan, app(stuck.clone())).await;
        let mut client = world.client().await;
        let mut calls = tokio::task::JoinSet::new();
        for n in 0..2 {
            let mut client = client.share();
            calls.spawn(async move { exchange(&mut client, get(&format!("/app/stuck/{n}"))).await });
        }
        eventually(|| stuck.count() == 2).await;
        for _ in 0..4 {
            exchange(&mut client, get("/app/ok/x")).await.unwrap();
        }
        calls.shutdown().await;
        eventually(|| stuck.count() == 0).await;
        // A call that has no time.
        let mut late = call("/pkg.Greeter/Say", "x");
        late.headers_mut()
            .insert("grpc-timeout", HeaderValue::from_static("1n"));
        exchange(&mut client, late).await.unwrap();
        let scrape = world.scrape();
        let limit = |limit: &str| {
            let labels = format!("role=\"gateway\",limit=\"{limit}\"");
            scrape.value("tunnel_limits_hit_total", &labels)
        };
        assert_eq!(
            (limit("rate"), limit("concurrency"), limit("deadline")),
            (0.0, 4.0, 1.0)
        );
    })
    .await;
}

#[tokio::test]
async fn retries_and_ejections_are_counted() {
    within_limit(async {
        let rule = Rule::group("app", group(GROUP))
            .retry(RetryPolicy::new(2))
            .public();
        let plan = Plan {
            rules: vec![rule],
            outliers: Some(Outliers {
                consecutive_failures: 3,
                ..Outliers::default()
            }),
            ..Plan::default()
        };
        let mut world = World::new(plan).await;
        let bad = Router::new().fallback(|| async { StatusCode::SERVICE_UNAVAILABLE });
        world.run(world.agent("bad"), bad).await;
        world.run(world.agent("good"), app(Stuck::default())).await;
        let mut client = world.client().await;
        for _ in 0..100 {
            let (status, _) = exchange(&mut client, get("/app/ok/x")).await.unwrap();
            assert_eq!(status, 200);
        }
        let scrape = world.scrape();
        assert_eq!(scrape.value("tunnel_ejections_total", "of=\"agent\""), 1.0);
        assert_eq!(scrape.value("tunnel_ejections_total", "of=\"endpoint\""), 0.0);
        assert_eq!(scrape.value("tunnel_retries_total", "role=\"gateway\""), 3.0);
        let agent = |agent: &str, outcome: &str| {
            let labels = format!("role=\"gateway\",agent=\"{agent}\",outcome=\"{outcome}\"");
            scrape
                .get("tunnel_agent_exchanges_total", &labels)
                .unwrap_or_default()
        };
        assert_eq!((agent("bad", "retried"), agent("bad", "ok")), (3.0, 0.0));
        assert_eq!(agent("good", "ok"), 100.0);
    })
    .await;
}

#[tokio::test]
async fn who_calls_stands_in_the_log_and_in_no_label() {
    within_limit(async {
        let world = World::with_app(Plan::default(), app(Stuck::default())).await;
        let mut request = get("/private/ok/x");
        let token = HeaderValue::from_str(&format!("Bearer {TOKEN}")).unwrap();
        request.headers_mut().insert(header::AUTHORIZATION, token);
        exchange(&mut world.client().await, request).await.unwrap();
        world.told(1, 1).await;
        let line = world.gateway_lines.all().remove(0);
        assert_eq!(
            (&line["principal"], &line["rule"]),
            (&"alice".into(), &"private".into())
        );
        assert!(!world.scrape().0.contains("alice"));
    })
    .await;
}
