//! Traces of requests through both programs, as a collector gets them.

mod collector;
mod dead;

use std::net::SocketAddr;

use axum::{Router, body::Body, extract::ws::WebSocketUpgrade, routing::get as on_get};
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tonic::{service::Routes, transport::Endpoint};
use tunnel_examples::greeter::{GreetOftenRequest, GreetRequest, GreeterClient, GreeterServer, Hello};
use tunnel_tests::{
    client::{Client, Version},
    origin::Origin,
    wait::within_limit,
    websocket::{Frame, echo, handshake, open},
};

use self::collector::{Collector, Told, tree};
use crate::{
    program::{Running, program},
    world::{Files, RunningGateway, TO_WEB, agent_file, gateway_file, get},
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// Both programs, which tell their traces to the same collector.
struct World {
    gateway: RunningGateway,
    agent: Running,
    collector: Collector,
    _files: Files,
}

impl World {
    /// With more keys of `traces` for both.
    async fn start(upstream: &str, more: &str) -> Self {
        Self::start_with(upstream, more, "").await
    }

    /// The same, with more in the gateway's file.
    async fn start_with(upstream: &str, more: &str, of_gateway: &str) -> Self {
        let (files, collector) = (Files::new(), Collector::start().await);
        let text = gateway_file(TO_WEB) + &collector.traces(more) + of_gateway;
        let gateway =
            RunningGateway::start("gateway", &["--config", &files.write("gateway.yaml", &text)]).await;
        let text = agent_file(gateway.agents, upstream) + &collector.traces(more);
        let mut agent = Running::start(program("agent", &["--config", &files.write("agent.yaml", &text)]));
        agent.line("ready ").await;
        Self {
            gateway,
            agent,
            collector,
            _files: files,
        }
    }

    /// Ends both, which send what they have.
    async fn end(self) -> Vec<Told> {
        let Self {
            gateway,
            agent,
            collector,
            ..
        } = self;
        for program in [gateway.program, agent] {
            program.signal("TERM");
            let ended = within_limit(program.ended()).await;
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        }
        collector.all()
    }
}

/// The spans of one trace, each of which there is once.
struct Trace(Vec<Told>);

impl Trace {
    fn of(&self, service: &str, name: &str) -> &Told {
        let found = self.0.iter().filter(|span| {
            span.name == name
                && span
                    .service
                    .get("service.name")
                    .is_some_and(|known| known == service)
        });
        let found: Vec<_> = found.collect();
        let [one] = found[..] else {
            panic!("{service} {name}:\n{}", tree(&self.0))
        };
        one
    }
}

impl Told {
    fn is(&self, key: &str) -> &str {
        let value = self.attributes.get(key);
        value.unwrap_or_else(|| panic!("no {key}: {self:?}"))
    }
}

/// Says which trace it was called in.
async fn seen(headers: HeaderMap) -> String {
    headers["traceparent"].to_str().expect("a text").to_owned()
}

async fn send(world: &World, parent: Option<&str>) -> String {
    let mut client = Client::connect(Version::Http1, world.gateway.listen).await;
    let mut request = Request::get("/cart?secret=1");
    if let Some(parent) = parent {
        request = request
            .header("traceparent", parent)
            .header("tracestate", "vendor=1");
    }
    let answer = client
        .send(request.body(Body::empty()).expect("a request"))
        .await
        .expect("an answer");
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    String::from_utf8(body.to_vec()).expect("a text")
}

#[tokio::test]
async fn one_request_is_one_tree_through_gateway_agent_and_upstream() {
    let origin = Origin::http1(Router::new().fallback(seen)).await;
    let mut world = World::start(&format!("{{url: \"{}\"}}", origin.uri()), "").await;
    let seen = within_limit(send(&world, Some(&format!("00-{TRACE}-{CALLER}-01")))).await;
    let trace = Trace(world.collector.spans(7).await);
    println!("{}", tree(&trace.0));
    assert_eq!(trace.0.len(), 7, "{}", tree(&trace.0));

    let exchange = trace.of("tunnel-gateway", "GET web");
    let tunnel = trace.of("tunnel-gateway", "tunnel");
    let served = trace
        .0
        .iter()
        .find(|span| span.parent == tunnel.id)
        .expect("the agent");
    let upstream = trace
        .0
        .iter()
        .find(|span| span.parent == served.id)
        .expect("the upstream");
    assert_eq!(
        (exchange.parent.as_str(), exchange.kind),
        (CALLER, SpanKind::Server)
    );
    for name in ["route", "auth", "queue", "tunnel"] {
        let span = trace.of("tunnel-gateway", name);
        assert_eq!(span.parent, exchange.id, "{name}");
        assert!(span.is_inside(exchange), "{name}");
    }
    assert_eq!(
        (tunnel.kind, served.kind, upstream.kind),
        (SpanKind::Client, SpanKind::Server, SpanKind::Client)
    );
    assert_eq!((served.name.as_str(), upstream.name.as_str()), ("GET", "GET"));
    assert_eq!(
        served.service["service.name"],
        "tunnel-agent",
        "{}",
        tree(&trace.0)
    );
    assert_eq!(served.service["service.instance.id"], "web-1");
    assert_eq!(
        seen,
        format!("00-{TRACE}-{}-01", upstream.id),
        "the upstream's own are below"
    );
    for span in &trace.0 {
        assert_eq!(span.trace, TRACE);
        assert!(!span.is_error);
        assert!(
            !format!("{span:?}").contains("secret") && !format!("{span:?}").contains("cart"),
            "{span:?}"
        );
    }

    for span in [exchange, tunnel] {
        assert_eq!((span.is("tunnel.rule"), span.is("tunnel.group")), ("web", "web"));
        assert_eq!(span.is("tunnel.agent"), "web-1");
    }
    assert_eq!(served.is("tunnel.agent"), "web-1");
    for span in [exchange, tunnel, served, upstream] {
        assert_eq!(span.is("http.request.method"), "GET");
        assert_eq!(span.is("http.response.status_code"), "200");
        assert_eq!(
            span.is("tunnel.request_id"),
            exchange.is("tunnel.request_id"),
            "the same everywhere"
        );
    }
    assert_eq!(exchange.is("network.peer.address"), "127.0.0.1");
    assert_eq!(exchange.is("network.protocol.version"), "1.1");
    assert_eq!(exchange.is("url.scheme"), "http");
    world.end().await;
}

#[tokio::test]
async fn calls_of_grpc_have_the_names_and_the_status_of_rpc() {
    let greeter = Routes::new(GreeterServer::new(Hello)).into_axum_router();
    let origin = Origin::h2c(greeter).await;
    let mut world = World::start(&format!("{{url: \"{}\", protocol: h2c}}", origin.uri()), "").await;
    let uri = format!("http://{}", world.gateway.listen);
    within_limit(async {
        let channel = Endpoint::from_shared(uri).expect("an address").connect().await;
        let mut client = GreeterClient::new(channel.expect("a connection"));
        let request = GreetOftenRequest {
            name: "anna".to_owned(),
            times: 3,
        };
        let mut greetings = client.greet_often(request).await.expect("an answer").into_inner();
        while greetings.message().await.expect("a greeting").is_some() {}
        let nobody = GreetRequest { name: String::new() };
        client.greet(nobody).await.expect_err("whom?");
    })
    .await;
    let spans = world.collector.spans(14).await;
    for (method, status, client_fails) in [
        ("greeter.v1.Greeter/GreetOften", "OK", false),
        ("greeter.v1.Greeter/Greet", "INVALID_ARGUMENT", true),
    ] {
        let of_call: Vec<_> = spans
            .iter()
            .filter(|span| {
                span.attributes
                    .get("rpc.method")
                    .is_some_and(|known| known == method)
            })
            .collect();
        assert_eq!(of_call.len(), 4, "{}", tree(&spans));
        for span in of_call {
            assert_eq!(span.is("rpc.system.name"), "grpc");
            assert_eq!(span.is("rpc.response.status_code"), status, "{}", span.name);
            assert_eq!(
                span.is_error,
                client_fails && span.kind == SpanKind::Client,
                "{span:?}"
            );
            if span.name != "tunnel" {
                assert_eq!(span.name, method);
            }
        }
    }
    world.end().await;
}

#[tokio::test]
async fn a_websocket_is_open_in_its_trace_until_it_closes() {
    let app = Router::new().route(
        "/echo",
        on_get(async |upgrade: WebSocketUpgrade| echo::answer(upgrade)),
    );
    let origin = Origin::http1(app).await;
    for version in [Version::Http1, Version::Http2] {
        let mut world = World::start(&format!("{{url: \"{}\"}}", origin.uri()), "").await;
        let (_, mut socket) = open(version, world.gateway.listen, handshake("/echo"))
            .await
            .upgraded();
        socket.send(&Frame::text("hello")).await;
        assert_eq!(within_limit(socket.recv()).await, Frame::text("hello"));
        let spans = world.collector.spans(3).await;
        let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
        assert_eq!(
            names,
            ["route", "auth", "queue"],
            "the others last as long as the socket"
        );
        socket.close(1000, "").await;
        drop(socket);
        let spans = world.collector.spans(7).await;
        let open: Vec<_> = spans
            .iter()
            .filter(|span| {
                span.attributes
                    .get("tunnel.upgrade")
                    .is_some_and(|to| to == "websocket")
            })
            .collect();
        assert_eq!(open.len(), 4, "{version:?}: {}", tree(&spans));
        for (outer, inner) in open.iter().zip(&open[1..]) {
            assert_eq!(inner.parent, outer.id, "{}", tree(&spans));
        }
        assert!(open.iter().all(|span| !span.is_error), "{}", tree(&spans));
        world.end().await;
    }
}

#[tokio::test]
async fn what_is_not_sampled_is_not_told_by_either() {
    let origin = Origin::http1(Router::new().fallback(seen)).await;
    let world = World::start(&format!("{{url: \"{}\"}}", origin.uri()), ", sample: 0").await;
    within_limit(async {
        let seen = send(&world, Some(&format!("00-{TRACE}-{CALLER}-00"))).await;
        assert!(
            seen.starts_with(&format!("00-{TRACE}-")) && seen.ends_with("-00"),
            "{seen}"
        );
        let seen = send(&world, None).await;
        assert!(seen.ends_with("-02"), "a new one, random and not sampled: {seen}");
    })
    .await;
    assert_eq!(tree(&world.end().await), "");
}

/// Has a program tell its metrics.
const OBSERVED: &str = "admin: {listen: 127.0.0.1:0}\nmetrics: {}\n";

/// Waits until the metrics have this line.
async fn measured(admin: SocketAddr, line: &str) {
    loop {
        let (_, text) = get(admin, "/metrics").await;
        if text.lines().any(|known| known == line) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn metrics_tell_what_becomes_of_spans() {
    let origin = Origin::http1(Router::new().fallback(seen)).await;
    let world = World::start_with(&format!("{{url: \"{}\"}}", origin.uri()), "", OBSERVED).await;
    let admin = world.gateway.admin.expect("it is in the file");
    within_limit(async {
        send(&world, None).await;
        measured(admin, "tunnel_spans_total{outcome=\"sent\"} 5").await;
        measured(admin, "tunnel_spans_total{outcome=\"dropped\"} 0").await;
    })
    .await;
}

#[tokio::test]
async fn whoever_ends_sends_what_it_has_and_failures_say_why() {
    let (_kept, nobody) = tunnel_tests::tunnel::closed_port();
    let world = World::start(&format!("{{url: \"http://{nobody}\"}}"), "").await;
    let (status, _) = within_limit(get(world.gateway.listen, "/")).await;
    assert_eq!(status, 502);
    let spans = world.end().await;
    let failed: Vec<_> = spans.iter().filter(|span| span.is_error).collect();
    assert_eq!(failed.len(), 4, "{}", tree(&spans));
    for span in failed {
        assert_eq!(span.is("error.type"), "upstream", "{}", tree(&spans));
    }
}
