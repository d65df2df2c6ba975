//! What the tunnel tells of itself: sessions, lanes, credit, resets, configurations, upstreams.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{Router, body::Body, routing::get as route};
use http::StatusCode;
use http_body_util::BodyExt as _;
use tunnel_core::{Cause, Initiator, TunnelError};
use tunnel_tests::{
    body::sized,
    tunnel::{GROUP, group},
    wait::{eventually, within_limit},
};
use tunnel_transport::{Gateway, Upstream, metrics::Reporter, upstream::UpstreamEndpoint};

use crate::{
    app::{Stuck, app},
    world::{AGENT, FAST, Plan, Recorder, Scrape, World, exchange, get},
};

const GATEWAY: &str = "role=\"gateway\"";
const AT_AGENT: &str = "role=\"agent\"";

fn serving(role: &str) -> String {
    format!("{role},state=\"serving\"")
}

fn resets(role: &str, way: &str, reason: &str) -> String {
    format!("{role},way=\"{way}\",reason=\"{reason}\"")
}

#[tokio::test]
async fn sessions_lanes_and_round_trips_are_told() {
    within_limit(async {
        let plan = Plan {
            gateway: Gateway::builder().open_to_any_agent().heartbeat(FAST),
            ..Plan::default()
        };
        let mut world = World::new(plan).await;
        let none = world.scrape();
        assert_eq!(none.value("tunnel_sessions", &serving(GATEWAY)), 0.0);
        let agent = world
            .run(world.agent(AGENT).lanes(3), app(Stuck::default()))
            .await;
        let mut client = world.client().await;
        for _ in 0..5 {
            exchange(&mut client, get("/app/ok/x")).await.unwrap();
        }
        let scrape = world.scrape();
        for role in [GATEWAY, AT_AGENT] {
            assert_eq!(scrape.value("tunnel_sessions", &serving(role)), 1.0, "{role}");
            assert_eq!(scrape.value("tunnel_lanes", role), 3.0, "{role}");
            assert_eq!(scrape.value("tunnel_sessions_started_total", role), 1.0, "{role}");
            assert_eq!(scrape.value("tunnel_sessions_ended_total", role), 0.0, "{role}");
            for zero in [
                "tunnel_reader_blocked",
                "tunnel_queue_bytes",
                "tunnel_late_messages_total",
                "tunnel_refused_exchanges_total",
                "tunnel_pending_exchanges",
                "tunnel_credit_starved_exchanges",
                "tunnel_config_refusals_total",
            ] {
                assert_eq!(scrape.value(zero, role), 0.0, "{zero} {role}");
            }
            let budget = scrape.value("tunnel_credit_budget_bytes", role);
            assert_eq!(budget, (256 << 20) as f64);
        }
        let opened = |role: &str, by: &str| {
            scrape.value("tunnel_session_exchanges_total", &format!("{role},by=\"{by}\""))
        };
        assert_eq!((opened(GATEWAY, "us"), opened(GATEWAY, "them")), (5.0, 0.0));
        assert_eq!((opened(AT_AGENT, "us"), opened(AT_AGENT, "them")), (0.0, 5.0));
        // 256 KiB for each response.
        let granted = scrape.value("tunnel_credit_granted_bytes_total", GATEWAY);
        assert_eq!(granted, (5 * (256 << 10)) as f64);
        assert_eq!(
            scrape.value("tunnel_group_sessions", &format!("group=\"{GROUP}\"")),
            1.0
        );
        assert_eq!(scrape.value("tunnel_ready", AT_AGENT), 1.0);
        assert_eq!(scrape.value("tunnel_gateways", "state=\"connected\""), 1.0);
        for role in [GATEWAY, AT_AGENT] {
            for stream in ["control", "lane"] {
                let labels = format!("{role},stream=\"{stream}\"");
                let name = "tunnel_heartbeat_round_trip_seconds_count";
                eventually(|| {
                    world
                        .scrape()
                        .get(name, &labels)
                        .is_some_and(|count| count >= 2.0)
                })
                .await;
            }
        }

        // The session is lost, and there is another one.
        let lost = TunnelError::new(Cause::AgentLost, Initiator::Tunnel, "the test ends it");
        let session = agent.connected().await;
        session.close(&lost);
        eventually(|| {
            let scrape = world.scrape();
            scrape.value("tunnel_reconnects_total", AT_AGENT) == 1.0
                && scrape.value("tunnel_sessions", &serving(GATEWAY)) == 1.0
                && scrape.value("tunnel_lanes", GATEWAY) == 3.0
        })
        .await;
        let again = world.scrape();
        for role in [GATEWAY, AT_AGENT] {
            assert_eq!(again.value("tunnel_sessions_started_total", role), 2.0, "{role}");
            assert_eq!(again.value("tunnel_sessions_ended_total", role), 1.0, "{role}");
        }
    })
    .await;
}

#[tokio::test]
async fn who_reads_nothing_starves_the_sender_and_that_is_told() {
    within_limit(async {
        let large = Router::new().route("/app/large", route(|| async { Body::new(sized(8 << 20)) }));
        let world = World::with_app(Plan::default(), large).await;
        let mut client = world.client().await;
        let response = client.send(get("/app/large")).await.unwrap();
        eventually(|| world.scrape().value("tunnel_credit_starved_exchanges", AT_AGENT) == 1.0).await;
        let starved = world.scrape();
        assert!(starved.value("tunnel_credit_granted_bytes", GATEWAY) >= (256 << 10) as f64);
        let open = "role=\"gateway\",rule=\"app\",group=\"app\",upstream=\"\",protocol=\"http\"";
        assert_eq!(starved.value("tunnel_exchanges_open", open), 1.0);
        // More than a second, so that it shows.
        tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
        let later = world.scrape();
        assert!(later.value("tunnel_credit_starved_seconds_total", AT_AGENT) >= 1.0);
        assert_eq!(later.value("tunnel_credit_starved_seconds_total", GATEWAY), 0.0);

        // It leaves.
        drop((response, client));
        eventually(|| world.scrape().value("tunnel_credit_starved_exchanges", AT_AGENT) == 0.0).await;
        let left = world.scrape();
        let (sent, received) = (
            resets(GATEWAY, "sent", "cancel"),
            resets(AT_AGENT, "received", "cancel"),
        );
        assert_eq!(left.value("tunnel_resets_total", &sent), 1.0);
        assert_eq!(left.value("tunnel_resets_total", &received), 1.0);
        assert_eq!(left.value("tunnel_exchanges_open", open), 0.0);
    })
    .await;
}

#[tokio::test]
async fn resets_are_told_by_reason() {
    within_limit(async {
        let world = World::with_app(Plan::default(), app(Stuck::default())).await;
        let mut client = world.client().await;
        for _ in 0..3 {
            assert_eq!(exchange(&mut client, get("/app/broken/x")).await, None);
        }
        let scrape = world.scrape();
        for (role, way) in [(AT_AGENT, "sent"), (GATEWAY, "received")] {
            let labels = resets(role, way, "upstream-broken");
            assert_eq!(scrape.value("tunnel_resets_total", &labels), 3.0, "{role}");
        }
    })
    .await;
}

#[tokio::test]
async fn versions_and_refusals_of_configurations_are_told() {
    within_limit(async {
        let mut world = World::new(Plan::default()).await;
        let refuses = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&refuses);
        let agent = world
            .agent(AGENT)
            .on_config(move |_| match asked.load(Ordering::SeqCst) {
                true => Err("the test wants none".into()),
                false => Ok(()),
            });
        let agent = world.run(agent, app(Stuck::default())).await;
        let push = |text: &str| {
            let configs = world.gateway.agent_configs();
            configs.replace([(group(GROUP), text.to_owned())]).unwrap();
            configs.versions().remove(0).1
        };
        let agents = |scrape: &Scrape, state: &str| {
            scrape.value("tunnel_config_agents", &format!("state=\"{state}\""))
        };
        let first = push("one");
        eventually(|| agents(&world.scrape(), "current") == 1.0).await;
        let scrape = world.scrape();
        let of_group = format!("{GATEWAY},group=\"{GROUP}\"");
        assert_eq!(scrape.value("tunnel_config_version", &of_group), first as f64);
        let at_agent = format!("{AT_AGENT},group=\"\"");
        assert_eq!(scrape.value("tunnel_config_version", &at_agent), first as f64);
        assert_eq!(agent.config_version(), Some(first));

        refuses.store(true, Ordering::SeqCst);
        push("two");
        eventually(|| agents(&world.scrape(), "refused") == 1.0).await;
        let scrape = world.scrape();
        for role in [GATEWAY, AT_AGENT] {
            assert_eq!(scrape.value("tunnel_config_refusals_total", role), 1.0, "{role}");
        }
        assert_eq!(agents(&scrape, "current"), 0.0);
        assert_eq!(scrape.value("tunnel_config_version", &at_agent), first as f64);
    })
    .await;
}

#[tokio::test]
async fn upstreams_tell_of_their_endpoints() {
    within_limit(async {
        let origin =
            tunnel_tests::origin::Origin::http1(Router::new().fallback(|| async { StatusCode::OK })).await;
        let recorder = Recorder::new();
        let upstream = Upstream::balanced([UpstreamEndpoint::new(origin.uri())])
            .build()
            .unwrap();
        let agent = tunnel_transport::Agent::builder("http://127.0.0.1:9").group(GROUP);
        let told = upstream.clone();
        let reporter = Reporter::agent(agent.build().unwrap())
            .upstreams(move || vec![("shop".to_owned(), told.clone())]);
        let request = http::Request::get("http://shop/").body(Body::empty()).unwrap();
        let answer = tower::ServiceExt::oneshot(upstream, request).await.unwrap();
        reporter.report();
        let scrape = Scrape(recorder.text());
        let state = |state: &str| {
            let labels = format!("upstream=\"shop\",state=\"{state}\"");
            scrape.value("tunnel_upstream_endpoints", &labels)
        };
        assert_eq!((state("healthy"), state("unhealthy")), (1.0, 0.0));
        let shop = "upstream=\"shop\"";
        assert_eq!(scrape.value("tunnel_upstream_connections", shop), 1.0);
        drop(answer.into_body().collect().await);
    })
    .await;
}

/// Every metric of the table in the documentation is described, and has the right kind of name.
#[tokio::test]
async fn names_are_as_prometheus_wants_them() {
    within_limit(async {
        let plan = Plan {
            gateway: Gateway::builder().open_to_any_agent().heartbeat(FAST),
            ..Plan::default()
        };
        let world = World::with_app(plan, app(Stuck::default())).await;
        let mut client = world.client().await;
        exchange(&mut client, get("/app/ok/x")).await.unwrap();
        exchange(&mut client, get("/none")).await.unwrap();
        let name = "tunnel_heartbeat_round_trip_seconds_count";
        let lane = format!("{GATEWAY},stream=\"lane\"");
        eventually(|| world.scrape().get(name, &lane).is_some()).await;
        let scrape = world.scrape();
        for (name, kind) in scrape.kinds() {
            assert!(name.starts_with("tunnel_"), "{name}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{name} {kind}");
            if kind == "histogram" {
                assert!(name.ends_with("_seconds"), "{name}");
            }
            let help = format!("# HELP {name} ");
            assert!(scrape.0.contains(&help), "{name} is not described");
        }
        assert!(scrape.kinds().len() >= 30, "{:?}", scrape.kinds());
    })
    .await;
}
