//! Limits and timeouts with real sockets: on several connections, and through the tunnel to an agent.

mod goodput;

use std::{
    convert::Infallible,
    future::IntoFuture as _,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, routing::any};
use http::{Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use tokio::task::JoinSet;
use tower::{ServiceBuilder, ServiceExt as _, service_fn};
use tunnel_core::{BoxError, Limit, limits::Rate};
use tunnel_layers::{
    balance::{BalanceLayer, LeastPending},
    chunk::ChunkLayer,
    concurrency::ConcurrencyLayer,
    correlate::CorrelateLayer,
    deadline::DeadlineLayer,
    key::ByAddress,
    rate_limit::RateLimitLayer,
    rescue::RescueLayer,
    route::{RouteLayer, Rule, Rules},
};
use tunnel_tests::{
    client::{Client, RawClient, Version},
    tunnel::{GROUP, address, group, listener},
    wait::{eventually, within_limit},
};
use tunnel_transport::{Agent, Gateway, entry::Entry};

const HOUR: Duration = Duration::from_secs(3_600);
/// A timeout that a test waits for.
const SHORT: Duration = Duration::from_millis(200);

/// An agent behind a gateway whose stack has all the limits.
struct Guarded {
    addr: SocketAddr,
    gateway: Gateway,
    places: ConcurrencyLayer,
    _tasks: JoinSet<()>,
}

async fn guarded(rules: impl IntoIterator<Item = Rule>, places: ConcurrencyLayer, app: Router) -> Guarded {
    let gateway = Gateway::builder().open_to_any_agent().build();
    let stack = ServiceBuilder::new()
        .layer(RescueLayer::new())
        .layer(RouteLayer::new(
            Rules::compile(rules).expect("the rules are right"),
        ))
        .layer(RateLimitLayer::per(1_000_000, HOUR).key(ByAddress::new()))
        .layer(places.clone())
        .layer(DeadlineLayer::new())
        .layer(BalanceLayer::new(gateway.agents(), LeastPending::new()))
        .layer(ChunkLayer::new())
        .layer(CorrelateLayer::new())
        .service(gateway.transport());
    let (outside, agents) = (listener().await, listener().await);
    let (addr, agents_addr) = (address(&outside), address(&agents));
    let mut tasks = JoinSet::new();
    tasks.spawn(Entry::new().serve(outside, stack).into_future());
    tasks.spawn(gateway.serve_agents(agents).into_future());
    let agent = Agent::builder(format!("http://{agents_addr}")).group(GROUP);
    let agent = agent.build().expect("the agent's settings are right");
    let serve = agent.serve(app);
    tasks.spawn(async move { serve.await.expect("the agent is not refused") });
    agent.connected().await;
    Guarded {
        addr,
        gateway,
        places,
        _tasks: tasks,
    }
}

fn all() -> Rule {
    Rule::group("all", group(GROUP))
}

/// `/` answers with one piece, and then nothing more.
fn endless() -> Router {
    let first = || futures_util::stream::iter([Ok::<_, Infallible>(http_body::Frame::data("one".into()))]);
    let body = move || {
        let rest = futures_util::stream::pending();
        Body::new(StreamBody::new(futures_util::StreamExt::chain(first(), rest)))
    };
    Router::new().fallback(any(async move || Response::new(body())))
}

#[tokio::test]
async fn a_rate_holds_for_all_connections_of_a_router() {
    within_limit(async {
        let layer = RateLimitLayer::per(5, HOUR).key(ByAddress::new());
        let app = Router::new().route("/", any(async || "app")).layer(layer.clone());
        let listener = listener().await;
        let addr = address(&listener);
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, app).await.expect("it serves") });
        let mut seen = Vec::new();
        for version in [Version::Http1, Version::Http2, Version::Http1, Version::Http2] {
            let mut client = Client::connect(version, addr).await;
            for _ in 0..2 {
                seen.push(client.get("/").await.status().as_u16());
            }
        }
        assert_eq!(seen, [200, 200, 200, 200, 200, 429, 429, 429]);
        assert_eq!(layer.keys(), 1);
    })
    .await;
}

#[tokio::test]
async fn places_hold_for_all_connections_until_the_exchange_ends() {
    within_limit(async {
        let tunnel = guarded([all()], ConcurrencyLayer::new().max(3).queue(0), endless()).await;
        let mut held = Vec::new();
        for version in [Version::Http1, Version::Http2, Version::Http2] {
            let mut client = Client::connect(version, tunnel.addr).await;
            let answer = client.get("/").await;
            assert_eq!(answer.status(), 200);
            held.push((client, answer));
        }
        let mut other = Client::connect(Version::Http1, tunnel.addr).await;
        let refused = other.get("/").await;
        assert_eq!(refused.status(), 503);
        assert_eq!(refused.headers()["x-tunnel-error"], "overloaded");
        refused.into_body().collect().await.expect("a whole body");

        // One client goes, with its connection or with its stream alone.
        for left in [2, 1] {
            held.remove(0);
            eventually(|| tunnel.places.load().running == left).await;
        }
        assert_eq!(other.get("/").await.status(), 200);
        assert_eq!(tunnel.places.load().running, 2);

        // What ends at the other end of the tunnel gives its place back as well.
        for session in tunnel.gateway.agents().list() {
            session
                .session
                .close(&tunnel_core::TunnelError::internal("the end"));
        }
        eventually(|| tunnel.places.load().running == 0).await;
    })
    .await;
}

#[tokio::test]
async fn who_waits_in_line_is_served_when_somebody_leaves() {
    within_limit(async {
        let places = ConcurrencyLayer::new().max(1).max_wait(HOUR);
        let tunnel = guarded([all()], places, endless()).await;
        let mut first = Client::connect(Version::Http2, tunnel.addr).await;
        let running = first.get("/").await;
        let mut second = Client::connect(Version::Http1, tunnel.addr).await;
        let waiting = tokio::spawn(async move { second.get("/").await.status() });
        eventually(|| tunnel.places.load().waiting == 1).await;
        drop(running);
        assert_eq!(waiting.await.expect("no panic"), 200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_more_pass_or_run_than_allowed_whatever_threads_do() {
    within_limit(async {
        const TASKS: usize = 32;
        const CALLS: usize = 50;
        let (running, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let most = peak.clone();
        let inner = service_fn(move |_: Request<Body>| {
            let (running, peak) = (running.clone(), peak.clone());
            async move {
                peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                running.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, Infallible>(Response::new(Body::empty()))
            }
        });
        let places = ConcurrencyLayer::new()
            .max(5)
            .per_key(ByAddress::new(), 3)
            .queue(TASKS);
        let places = places.queue_of_key(TASKS).max_wait(HOUR);
        let service = ServiceBuilder::new()
            .layer(RateLimitLayer::per(1_000, HOUR).key(ByAddress::new()))
            .layer(places.clone())
            .service(inner);
        let mut tasks = JoinSet::new();
        for _ in 0..TASKS {
            let service = service.clone();
            tasks.spawn(async move {
                let mut passed = 0;
                for _ in 0..CALLS {
                    let request = Request::get("/")
                        .header("host", "example.com")
                        .body(Body::empty());
                    let answer = service.clone().oneshot(request.expect("a valid request")).await;
                    passed += usize::from(answer.expect("an answer").status() == 200);
                }
                passed
            });
        }
        assert_eq!(tasks.join_all().await.into_iter().sum::<usize>(), 1_000);
        assert!(most.load(Ordering::SeqCst) <= 3);
        assert_eq!((places.load().running, places.load().waiting), (0, 0));
    })
    .await;
}

#[tokio::test]
async fn a_request_that_no_rule_matches_costs_nothing() {
    let rate = RateLimitLayer::per(1, HOUR);
    let service = ServiceBuilder::new()
        .layer(RouteLayer::new(
            Rules::compile([all().path_prefix("/app")]).expect("the rule is right"),
        ))
        .layer(rate)
        .service(service_fn(async |_: Request<Body>| {
            Ok::<_, BoxError>(Response::new(Body::empty()))
        }));
    let ask = async |path: &str| {
        let request = Request::get(path).header("host", "example.com");
        let request = request.body(Body::empty()).expect("a valid request");
        service
            .clone()
            .oneshot(request)
            .await
            .expect("an answer")
            .status()
            .as_u16()
    };
    for (path, expected) in [("/", 404), ("/x", 404), ("/app", 200), ("/", 404), ("/app", 429)] {
        assert_eq!(ask(path).await, expected, "{path}");
    }
}

#[tokio::test]
async fn rules_set_rates_of_their_own() {
    within_limit(async {
        let rules = [
            all().path_exact("/slow").rate(Rate::new(1, HOUR)),
            Rule::group("free", group(GROUP)).rate(Limit::Unlimited),
        ];
        let tunnel = guarded(
            rules,
            ConcurrencyLayer::new(),
            Router::new().fallback(any(async || "ok")),
        )
        .await;
        let mut seen = Vec::new();
        for path in ["/slow", "/slow", "/other", "/other", "/slow"] {
            let mut client = Client::connect(Version::Http1, tunnel.addr).await;
            seen.push(client.get(path).await.status().as_u16());
        }
        assert_eq!(seen, [200, 429, 200, 200, 429]);
    })
    .await;
}

/// One call at the agent; counted when it ends, in whatever way.
struct Call(Arc<AtomicUsize>);

impl Drop for Call {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_request_that_stops_is_answered_408_and_breaks_at_the_agent() {
    within_limit(async {
        let ended = Arc::new(AtomicUsize::new(0));
        let counted = ended.clone();
        let app = Router::new().fallback(any(async move |request: Request<Body>| {
            let _call = Call(counted.clone());
            request.into_body().collect().await.map_or("broken", |_| "whole")
        }));
        let rule = all().request_idle_timeout(SHORT).timeout(Limit::Unlimited);
        let tunnel = guarded([rule], ConcurrencyLayer::new(), app).await;
        let mut client = RawClient::connect(tunnel.addr).await;
        client
            .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf")
            .await;
        let answer = client.response().await;
        assert_eq!(answer.status, 408);
        assert_eq!(answer.headers["x-tunnel-error"], "body-idle");
        eventually(|| ended.load(Ordering::SeqCst) == 1).await;
        eventually(|| tunnel.places.load().running == 0).await;
    })
    .await;
}

#[tokio::test]
async fn a_head_that_does_not_come_is_504_and_its_call_is_dropped() {
    within_limit(async {
        let ended = Arc::new(AtomicUsize::new(0));
        let counted = ended.clone();
        let app = Router::new().fallback(any(async move || {
            let _call = Call(counted.clone());
            std::future::pending::<()>().await;
        }));
        let tunnel = guarded([all().head_timeout(SHORT)], ConcurrencyLayer::new(), app).await;
        for version in [Version::Http1, Version::Http2] {
            let mut client = Client::connect(version, tunnel.addr).await;
            assert_eq!(client.get("/").await.status(), 504);
        }
        eventually(|| ended.load(Ordering::SeqCst) == 2).await;
    })
    .await;
}

#[tokio::test]
async fn a_response_that_stops_breaks() {
    within_limit(async {
        let rule = all().response_idle_timeout(SHORT);
        let tunnel = guarded([rule], ConcurrencyLayer::new(), endless()).await;
        for version in [Version::Http1, Version::Http2] {
            let mut client = Client::connect(version, tunnel.addr).await;
            let mut body = client.get("/").await.into_body();
            let first = body.frame().await.expect("a frame").expect("no error");
            assert_eq!(first.into_data().expect("data"), "one");
            assert!(body.frame().await.expect("an end of some kind").is_err());
        }
        eventually(|| tunnel.places.load().running == 0).await;
    })
    .await;
}
