//! Traces through a whole tunnel in one process, whose time stands still: what each step took is exact.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body, extract::ws::WebSocketUpgrade, routing::get};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _, stream};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use tokio::time::sleep;
use tokio_tungstenite::{client_async, tungstenite::Message};
use tower::{Layer as _, ServiceBuilder};
use tunnel_core::trace::{SpanKind, SpanRecord, SpanRecorder, SpanStatus};
use tunnel_layers::{
    balance::{BalanceLayer, RoundRobin},
    chunk::ChunkLayer,
    correlate::CorrelateLayer,
    rescue::RescueLayer,
    route::{RouteLayer, Rule, Rules},
    trace::{HopLayer, Serve, ServeLayer, StageLayer, Tracer},
    trace_id::TraceIdLayer,
    upgrade::UpgradeLayer,
};
use tunnel_tests::{
    tunnel::{GROUP, group},
    websocket::echo,
};
use tunnel_transport::testing::{DEFAULT_PEER, Refusing, Tunnel, TunnelBuilder, until, within_limit};

#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<SpanRecord>>>);

impl SpanRecorder for Spans {
    fn record(&self, span: SpanRecord) {
        self.0.lock().expect("nobody panicked").push(span);
    }
}

impl Spans {
    fn all(&self) -> Vec<SpanRecord> {
        self.0.lock().expect("nobody panicked").clone()
    }

    /// Waits until so many have ended.
    async fn ended(&self, count: usize) -> Vec<SpanRecord> {
        until(|| self.all().len() >= count, || format!("{:#?}", self.all())).await;
        self.all()
    }

    /// What an agent with this name serves.
    fn served<S>(&self, agent: &'static str, service: S) -> Serve<S> {
        let layer = ServeLayer::new(Tracer::new(self.clone())).with("tunnel.agent", agent);
        layer.layer(service)
    }
}

fn of<'a>(spans: &'a [SpanRecord], name: &str, kind: SpanKind) -> &'a SpanRecord {
    let found = spans.iter().find(|span| span.name == name && span.kind == kind);
    found.unwrap_or_else(|| panic!("no {name}: {spans:#?}"))
}

fn text<'a>(span: &'a SpanRecord, key: &str) -> &'a str {
    let value = span.attribute(key).and_then(|value| value.as_text());
    value.unwrap_or_else(|| panic!("no {key}: {span:#?}"))
}

fn millis(span: &SpanRecord) -> u128 {
    span.end
        .duration_since(span.start)
        .expect("it ends later")
        .as_millis()
}

fn app() -> Router {
    Router::new()
        .route(
            "/slow",
            get(async || {
                sleep(Duration::from_secs(1)).await;
                "slow"
            }),
        )
        .route(
            "/endless",
            get(async || {
                let first = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"a"))]);
                Body::from_stream(first.chain(stream::pending()))
            }),
        )
        .route(
            "/echo",
            get(async |upgrade: WebSocketUpgrade| echo::answer(upgrade)),
        )
}

/// The tunnel, with a stack that tells its steps.
async fn start(builder: TunnelBuilder, spans: &Spans) -> Tunnel<impl Clone + use<>> {
    let tracer = Tracer::new(spans.clone());
    builder
        .start(move |gateway| {
            let rules = Rules::compile([Rule::group("all", group(GROUP))]).expect("the rule is right");
            ServiceBuilder::new()
                .layer(TraceIdLayer::new().tracer(tracer.clone()))
                .layer(RescueLayer::new())
                .layer(StageLayer::new("route"))
                .layer(RouteLayer::new(rules))
                .layer(StageLayer::new("queue"))
                .layer(BalanceLayer::new(gateway.agents(), RoundRobin::new()))
                .layer(HopLayer::tunnel())
                .layer(UpgradeLayer::new())
                .layer(ChunkLayer::new())
                .layer(CorrelateLayer::new())
                .service(gateway.transport())
        })
        .await
}

#[tokio::test(start_paused = true)]
async fn the_way_and_the_agent_each_have_their_time() {
    let spans = Spans::default();
    let builder = Tunnel::builder()
        .agent(GROUP, spans.served("app-1", app()))
        .faults(|link| link.delay(Duration::from_millis(100)));
    let tunnel = start(builder, &spans).await;
    assert_eq!(tunnel.http2().await.get("/slow").await.0, StatusCode::OK);
    let all = spans.ended(5).await;
    assert_eq!(all.len(), 5, "{all:#?}");
    let exchange = of(&all, "GET all", SpanKind::Server);
    let hop = of(&all, "tunnel", SpanKind::Client);
    let served = of(&all, "GET", SpanKind::Server);
    assert_eq!(exchange.parent_id, None);
    assert_eq!(
        (hop.parent_id, hop.parent_is_remote),
        (Some(exchange.span_id), false)
    );
    assert_eq!(
        (served.parent_id, served.parent_is_remote),
        (Some(hop.span_id), true)
    );
    assert!((1_000..1_010).contains(&millis(served)), "{served:#?}");
    assert!((1_200..1_220).contains(&millis(hop)), "{hop:#?}");
    assert!(millis(exchange) >= millis(hop));
    assert_eq!(millis(of(&all, "queue", SpanKind::Internal)), 0);
    assert_eq!(
        text(served, "tunnel.request_id"),
        text(exchange, "tunnel.request_id")
    );
    assert_eq!(text(hop, "tunnel.agent"), "app-1");
    tunnel.idle().await;
}

#[tokio::test(start_paused = true)]
async fn each_agent_that_was_tried_is_a_step() {
    let spans = Spans::default();
    let builder = Tunnel::builder()
        .agent(GROUP, Refusing)
        .agent(GROUP, spans.served("app-2", app()));
    let tunnel = start(builder, &spans).await;
    let mut client = tunnel.http1().await;
    for _ in 0..2 {
        assert_eq!(client.get("/slow").await.0, StatusCode::OK);
    }
    let all = spans.ended(11).await;
    let hops: Vec<_> = all.iter().filter(|span| span.name == "tunnel").collect();
    let [refused, again, _] = hops[..] else {
        // Whoever was asked first, the other request went to both.
        let [_, refused, again] = hops[..] else {
            panic!("{all:#?}")
        };
        return retried(refused, again);
    };
    if refused.status == SpanStatus::Unset {
        retried(again, hops[2]);
    } else {
        retried(refused, again);
    }
}

fn retried(refused: &SpanRecord, again: &SpanRecord) {
    assert_eq!(text(refused, "tunnel.agent"), "app-1");
    assert_eq!(text(refused, "error.type"), "overloaded");
    assert_eq!(text(again, "tunnel.agent"), "app-2");
    assert_eq!(again.attribute("http.request.resend_count"), Some(&1_u16.into()));
    assert_eq!(
        (again.parent_id, &again.status),
        (refused.parent_id, &SpanStatus::Unset)
    );
    assert_ne!(
        text(refused, "tunnel.request_id"),
        text(again, "tunnel.request_id")
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_or_is_lost_ends_every_step() {
    let spans = Spans::default();
    let builder = Tunnel::builder().agent(GROUP, spans.served("app-1", app()));
    let mut tunnel = start(builder, &spans).await;
    let mut client = tunnel.http2().await;
    let endless = || {
        Request::get("/endless")
            .body(Empty::<Bytes>::new())
            .expect("a request")
    };

    let answer = client.send(endless()).await.expect("an answer");
    assert_eq!(spans.all().len(), 2, "route and queue");
    drop(answer);
    let all = spans.ended(5).await;
    for (name, kind) in [
        ("GET all", SpanKind::Server),
        ("tunnel", SpanKind::Client),
        ("GET", SpanKind::Server),
    ] {
        let span = of(&all, name, kind);
        assert_eq!(span.attribute("tunnel.canceled"), Some(&true.into()), "{span:#?}");
        assert_eq!(span.status, SpanStatus::Unset);
    }

    spans.0.lock().expect("nobody panicked").clear();
    let answer = client.send(endless()).await.expect("an answer");
    tunnel.agent("app-1").link().cut();
    within_limit(answer.into_body().collect())
        .await
        .expect_err("it breaks off");
    let all = spans.ended(5).await;
    assert_eq!(
        text(of(&all, "tunnel", SpanKind::Client), "error.type"),
        "agent-lost"
    );
    assert!(matches!(
        of(&all, "GET all", SpanKind::Server).status,
        SpanStatus::Error(_)
    ));
    tunnel.idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_websocket_to_an_app_keeps_its_steps_open() {
    let spans = Spans::default();
    let builder = Tunnel::builder().agent(GROUP, spans.served("app-1", app()));
    let tunnel = start(builder, &spans).await;
    let socket = tunnel.connect(DEFAULT_PEER);
    let (mut socket, _) = client_async("ws://tunnel.test/echo", socket)
        .await
        .expect("a handshake");
    sleep(Duration::from_secs(7)).await;
    socket.send(Message::text("hello")).await.expect("it is open");
    let said = within_limit(socket.next()).await.expect("an answer");
    assert_eq!(said.expect("a message"), Message::text("hello"));
    assert_eq!(spans.all().len(), 2, "route and queue");
    socket.close(None).await.expect("it is open");
    while within_limit(socket.next()).await.is_some() {}
    drop(socket);
    let all = spans.ended(5).await;
    for (name, kind) in [
        ("GET all", SpanKind::Server),
        ("tunnel", SpanKind::Client),
        ("GET", SpanKind::Server),
    ] {
        let span = of(&all, name, kind);
        assert!(millis(span) >= 7_000, "{span:#?}");
        assert_eq!(text(span, "tunnel.upgrade"), "websocket");
        assert_eq!(
            span.attribute("http.response.status_code"),
            Some(&101_u16.into()),
            "{span:#?}"
        );
    }
    tunnel.idle().await;
}
