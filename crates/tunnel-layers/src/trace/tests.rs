use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use tower::{Layer as _, Service, ServiceBuilder, ServiceExt, service_fn};
use tunnel_core::{
    BoxError, Cause, Initiator, Lifetime, Principal, TunnelError,
    trace::{SpanKind, SpanRecord, SpanRecorder, SpanStatus},
};

use super::*;
use crate::{
    auth::{AuthLayer, AuthParts, CleanBody, Rejection, auth_fn},
    rescue::RescueLayer,
    route::{RouteLayer, Rule, Rules},
    test_util::{Probe, Scripted, Step, assert_shareable, grpc, grpc_request, ready, request},
    trace_id::TraceIdLayer,
};

#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<SpanRecord>>>);

impl SpanRecorder for Spans {
    fn record(&self, span: SpanRecord) {
        self.0.lock().unwrap().push(span);
    }
}

impl Spans {
    fn take(&self) -> Vec<SpanRecord> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn names(&self) -> Vec<String> {
        let spans = self.0.lock().unwrap();
        spans.iter().map(|span| span.name.to_string()).collect()
    }

    /// The span with this name, of those that ended.
    fn of(&self, name: &str) -> SpanRecord {
        let spans = self.0.lock().unwrap();
        let mut found = spans.iter().filter(|span| span.name == name);
        let one = found.next().unwrap_or_else(|| panic!("no {name}: {spans:?}"));
        assert_eq!(found.next(), None, "one {name}");
        one.clone()
    }
}

fn text(span: &SpanRecord, key: &str) -> Option<String> {
    span.attribute(key)
        .and_then(|value| value.as_text())
        .map(str::to_owned)
}

const ID: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: u64 = 0xb7ad_6b71_6920_3331;

/// A request that continues a trace.
fn continued(flags: &str) -> Request<Scripted> {
    let mut request = request("/cart?secret=1");
    let parent = format!("00-{ID}-{PARENT:016x}-{flags}");
    request
        .headers_mut()
        .insert("traceparent", HeaderValue::from_str(&parent).unwrap());
    request
}

fn rules() -> Rules {
    Rules::compile([Rule::group("shop", "g".parse().unwrap())]).unwrap()
}

/// The whole way, around what stands for the tunnel.
fn gateway<F, Fut>(
    tracer: Tracer,
    answer: F,
) -> impl Service<Request<Scripted>, Response = Response<impl Body<Data = Bytes>>, Error = Infallible> + Clone
where
    F: Fn(Request<CleanBody<Scripted>>) -> Fut + Clone,
    Fut: Future<Output = Result<Response<Scripted>, BoxError>>,
{
    let auth = auth_fn(|request: AuthParts| async move {
        match request.headers.contains_key("refuse") {
            true => Err(Rejection::invalid("no")),
            false => Ok(Principal::new("anna", "test")),
        }
    });
    ServiceBuilder::new()
        .layer(TraceIdLayer::new().tracer(tracer))
        .layer(RescueLayer::new())
        .layer(StageLayer::new("route"))
        .layer(RouteLayer::new(rules()))
        .layer(StageLayer::new("auth"))
        .layer(AuthLayer::new(auth))
        .layer(StageLayer::new("queue"))
        .layer(HopLayer::tunnel())
        .service(service_fn(answer))
}

async fn ok<B>(_: Request<B>) -> Result<Response<Scripted>, BoxError> {
    Ok(Response::new(Scripted::of(["abc"])))
}

#[tokio::test(start_paused = true)]
async fn the_steps_of_an_exchange_are_children_of_it_and_end_with_it() {
    let spans = Spans::default();
    let seen = Arc::new(Mutex::new(None));
    let stack = gateway(Tracer::new(spans.clone()), {
        let seen = seen.clone();
        move |request| {
            *seen.lock().unwrap() = Some(request.headers()["traceparent"].clone());
            async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(Response::new(Scripted::of(["abc"])))
            }
        }
    });
    let answer = stack.oneshot(continued("01")).await.unwrap();
    assert_eq!(
        spans.names(),
        ["route", "auth", "queue"],
        "the others have not ended"
    );
    tokio::time::sleep(Duration::from_secs(2)).await;
    answer.into_body().collect().await.map_err(drop).unwrap();
    assert_eq!(spans.names(), ["route", "auth", "queue", "tunnel", "GET shop"]);

    let (exchange, tunnel) = (spans.of("GET shop"), spans.of("tunnel"));
    assert_eq!(
        (exchange.kind, exchange.parent_id),
        (SpanKind::Server, Some(PARENT))
    );
    assert!(exchange.parent_is_remote && !tunnel.parent_is_remote);
    assert_eq!(tunnel.kind, SpanKind::Client);
    for span in spans.take() {
        assert_eq!(format!("{:032x}", span.trace_id), ID);
        assert_eq!(span.status, SpanStatus::Unset);
        if span.name != "GET shop" {
            assert_eq!(span.parent_id, Some(exchange.span_id), "{}", span.name);
        }
    }
    let took = |span: &SpanRecord| span.end.duration_since(span.start).unwrap().as_secs();
    assert_eq!((took(&exchange), took(&tunnel)), (3, 3));
    let sent = seen.lock().unwrap().take().unwrap();
    assert_eq!(
        sent,
        format!("00-{ID}-{:016x}-01", tunnel.span_id),
        "its child is whoever gets it"
    );

    for (key, value) in [
        ("http.request.method", "GET"),
        ("server.address", "example.com"),
        ("url.scheme", "http"),
        ("network.protocol.version", "1.1"),
        ("tunnel.rule", "shop"),
        ("tunnel.group", "g"),
    ] {
        assert_eq!(text(&exchange, key).as_deref(), Some(value), "{key}");
    }
    assert_eq!(
        exchange.attribute("http.response.status_code"),
        Some(&200_u16.into())
    );
    assert_eq!(exchange.attribute("http.response.body.size"), Some(&3_u64.into()));
    assert_eq!(exchange.attribute("url.path"), None);
    assert!(!format!("{exchange:?}{tunnel:?}").contains("secret"));
}

#[tokio::test]
async fn paths_are_told_only_if_asked_for_and_never_queries() {
    let spans = Spans::default();
    let stack = gateway(Tracer::new(spans.clone()).paths(true), ok);
    drop(stack.oneshot(continued("01")).await.unwrap());
    assert_eq!(text(&spans.of("GET shop"), "url.path").as_deref(), Some("/cart"));
}

#[tokio::test]
async fn a_trace_that_is_not_sampled_is_not_told_and_goes_on_as_such() {
    let spans = Spans::default();
    let all = Tracer::new(spans.clone());
    for (tracer, request) in [(all.clone(), continued("00")), (all.sample(0.0), request("/"))] {
        let flags = Arc::new(Mutex::new(String::new()));
        let stack = gateway(tracer, {
            let flags = flags.clone();
            move |request: Request<CleanBody<Scripted>>| {
                *flags.lock().unwrap() = request.headers()["traceparent"].to_str().unwrap()[53..].to_owned();
                assert!(request.extensions().get::<TraceSpan>().is_none());
                ok(request)
            }
        });
        drop(stack.oneshot(request).await.unwrap());
        let flags = u8::from_str_radix(&flags.lock().unwrap(), 16).unwrap();
        assert_eq!(flags & 1, 0, "not sampled");
    }
    assert_eq!(spans.names(), [""; 0]);
}

#[test]
fn a_share_of_new_traces_is_sampled_and_all_who_use_it_agree() {
    let (spans, step) = (Spans::default(), u128::MAX / 1_000);
    let ids = (1..1_000).map(|n| crate::TraceId::new(n * step).unwrap());
    let sampled = |share| {
        let tracer = Tracer::new(spans.clone()).sample(share);
        ids.clone().filter(|id| tracer.samples(*id)).collect::<Vec<_>>()
    };
    let (tenth, half) = (sampled(0.1), sampled(0.5));
    assert!((80..=120).contains(&tenth.len()), "{}", tenth.len());
    assert!((450..=550).contains(&half.len()), "{}", half.len());
    assert!(tenth.iter().all(|id| half.contains(id)));
    assert_eq!(
        (sampled(0.0).len(), sampled(-1.0).len(), sampled(f64::NAN).len()),
        (0, 0, 0)
    );
    assert_eq!((sampled(1.0).len(), sampled(7.0).len()), (999, 999));
}

#[tokio::test]
async fn who_is_refused_has_the_stages_that_were_reached() {
    let spans = Spans::default();
    let stack = gateway(Tracer::new(spans.clone()), ok);
    let mut refused = request("/");
    refused
        .headers_mut()
        .insert("refuse", HeaderValue::from_static("1"));
    let answer = stack.clone().oneshot(refused).await.unwrap();
    drop(answer.into_body().collect().await);
    assert_eq!(spans.names(), ["route", "auth", "GET shop"]);
    let exchange = spans.of("GET shop");
    assert_eq!(
        text(&exchange, "tunnel.error").as_deref(),
        Some("unauthenticated")
    );
    assert_eq!(exchange.status, SpanStatus::Unset, "not the fault of a server");

    spans.take();
    let mut malformed = request("/");
    malformed.headers_mut().remove("host");
    assert_eq!(stack.oneshot(malformed).await.unwrap().status(), 400);
    assert_eq!(
        text(&spans.of("GET"), "tunnel.error").as_deref(),
        Some("malformed")
    );
}

#[tokio::test]
async fn what_fails_before_the_head_says_why_on_both_sides() {
    let spans = Spans::default();
    let stack = gateway(Tracer::new(spans.clone()), |_| async {
        Err(TunnelError::new(Cause::AgentLost, Initiator::Tunnel, "the agent was lost").into())
    });
    let answer = stack.clone().oneshot(request("/")).await.unwrap();
    drop(answer.into_body().collect().await);
    for name in ["tunnel", "GET shop"] {
        let span = spans.of(name);
        assert_eq!(span.status, SpanStatus::Error("the agent was lost".into()));
        assert_eq!(text(&span, "error.type").as_deref(), Some("agent-lost"));
    }
    spans.take();
    let answer = stack.oneshot(grpc_request()).await.unwrap();
    drop(answer.into_body().collect().await);
    let call = spans.of("pkg.Service/Method");
    assert_eq!(
        text(&call, "rpc.response.status_code").as_deref(),
        Some("UNAVAILABLE")
    );
    assert_eq!(text(&call, "error.type").as_deref(), Some("agent-lost"));
}

#[tokio::test]
async fn a_body_that_breaks_off_and_one_that_nobody_reads() {
    let spans = Spans::default();
    let broken = || Step::Fail(TunnelError::new(Cause::Upstream, Initiator::Peer, "broke off").into());
    let stack = gateway(Tracer::new(spans.clone()), move |_| async move {
        Ok(Response::new(Scripted::new([Step::Data("a"), broken()])))
    });
    let answer = stack.oneshot(request("/")).await.unwrap();
    assert!(answer.into_body().collect().await.is_err());
    assert_eq!(
        text(&spans.of("tunnel"), "error.type").as_deref(),
        Some("upstream")
    );
    assert_ne!(spans.of("GET shop").status, SpanStatus::Unset);

    spans.take();
    let stack = gateway(Tracer::new(spans.clone()), |_| async {
        Ok(Response::new(Scripted::new([Step::Data("a"), Step::Hang])))
    });
    let answer = stack.oneshot(request("/")).await.unwrap();
    assert_eq!(spans.names().len(), 3);
    drop(answer);
    for name in ["tunnel", "GET shop"] {
        let span = spans.of(name);
        assert_eq!(span.attribute("tunnel.canceled"), Some(&true.into()), "{name}");
        assert_eq!(span.status, SpanStatus::Unset);
    }
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_ends_too() {
    let spans = Spans::default();
    let stack = gateway(Tracer::new(spans.clone()), |_| std::future::pending());
    let mut call = tokio_test::task::spawn(stack.oneshot(request("/")));
    assert!(call.poll().is_pending());
    drop(call);
    assert_eq!(spans.names(), ["route", "auth", "queue", "tunnel", "GET shop"]);
    assert_eq!(
        spans.of("GET shop").attribute("tunnel.canceled"),
        Some(&true.into())
    );
}

#[tokio::test]
async fn who_has_all_that_was_promised_need_not_ask_for_the_end() {
    let spans = Spans::default();
    let stack = gateway(Tracer::new(spans.clone()), ok);
    let body = stack.clone().oneshot(request("/")).await.unwrap().into_body();
    let mut body = std::pin::pin!(body);
    drop(std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await);
    assert_eq!(spans.of("GET shop").attribute("tunnel.canceled"), None);

    spans.take();
    let mut head = request("/");
    *head.method_mut() = http::Method::HEAD;
    drop(stack.oneshot(head).await.unwrap());
    assert_eq!(spans.of("HEAD shop").attribute("tunnel.canceled"), None);
}

#[tokio::test]
async fn a_calls_status_is_in_its_trailers() {
    for (status, name, on_client, on_server) in [
        ("0", "OK", false, false),
        ("5", "NOT_FOUND", true, false),
        ("13", "INTERNAL", true, true),
        ("what", "UNKNOWN", true, true),
    ] {
        let spans = Spans::default();
        let stack = gateway(Tracer::new(spans.clone()), move |_| async move {
            let trailers = HeaderMap::from_iter([("grpc-status".parse()?, HeaderValue::from_static(status))]);
            let body = Scripted::new([Step::Data("m"), Step::Trailers(trailers)]);
            let mut response = Response::new(body);
            response.headers_mut().insert("content-type", grpc());
            Ok(response)
        });
        let answer = stack.oneshot(grpc_request()).await.unwrap();
        drop(answer.into_body().collect().await);
        for (span, is_error) in [("tunnel", on_client), ("pkg.Service/Method", on_server)] {
            let span = spans.of(span);
            assert_eq!(text(&span, "rpc.response.status_code").as_deref(), Some(name));
            assert_eq!(text(&span, "rpc.method").as_deref(), Some("pkg.Service/Method"));
            assert_eq!(span.status != SpanStatus::Unset, is_error, "{} {name}", span.name);
        }
    }
}

#[tokio::test]
async fn a_stream_behind_the_response_keeps_its_steps_open() {
    let spans = Spans::default();
    let stack = gateway(Tracer::new(spans.clone()), |_| async {
        let mut response = Response::new(Scripted::default());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        Ok(response)
    });
    let mut upgrade = request("/");
    for (name, value) in [("connection", "upgrade"), ("upgrade", "websocket")] {
        upgrade
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    let stream = Lifetime::of(upgrade.extensions_mut());
    drop(stack.oneshot(upgrade).await.unwrap().into_body().collect().await);
    assert_eq!(spans.names(), ["route", "auth", "queue"]);
    drop(stream);
    assert_eq!(spans.names()[3..], ["GET shop", "tunnel"]);
    let exchange = spans.of("GET shop");
    assert_eq!(text(&exchange, "tunnel.upgrade").as_deref(), Some("websocket"));
    assert_eq!(exchange.attribute("tunnel.canceled"), None);
}

#[tokio::test]
async fn an_agent_continues_what_comes_and_its_upstream_continues_that() {
    let spans = Spans::default();
    let stack = ServiceBuilder::new()
        .layer(ServeLayer::new(Tracer::new(spans.clone()).sample(0.0)).with("tunnel.agent", "eu-1"))
        .layer(HopLayer::upstream())
        .service(service_fn(|request: Request<Scripted>| async move {
            let mut response = Response::new(Scripted::default());
            response
                .headers_mut()
                .insert("seen", request.headers()["traceparent"].clone());
            *response.status_mut() = StatusCode::NOT_FOUND;
            Ok::<_, BoxError>(response)
        }));
    assert_shareable(&stack);
    let answer = stack.clone().oneshot(continued("01")).await.unwrap();
    let spans_of_it = spans.take();
    let [upstream, served] = &spans_of_it[..] else {
        panic!("{spans_of_it:?}")
    };
    assert_eq!((served.parent_id, served.parent_is_remote), (Some(PARENT), true));
    assert_eq!(text(served, "tunnel.agent").as_deref(), Some("eu-1"));
    assert_eq!(upstream.parent_id, Some(served.span_id));
    assert_eq!(
        answer.headers()["seen"],
        format!("00-{ID}-{:016x}-01", upstream.span_id)
    );
    assert_eq!(
        upstream.status,
        SpanStatus::Error("".into()),
        "a client's view of 404"
    );
    assert_eq!(served.status, SpanStatus::Unset);

    for request in [continued("00"), request("/")] {
        let _ = stack.clone().oneshot(request).await.unwrap();
    }
    assert_eq!(spans.names(), [""; 0]);
}

#[tokio::test]
async fn each_attempt_is_a_step_and_says_how_many_there_were() {
    let spans = Spans::default();
    let hop = HopLayer::tunnel().layer(service_fn(ok));
    let twice = service_fn(move |request: Request<Scripted>| {
        let hop = hop.clone();
        async move {
            let mut again = Request::new(Scripted::default());
            *again.extensions_mut() = request.extensions().clone();
            drop(hop.clone().oneshot(request).await?.into_body().collect().await);
            hop.oneshot(again).await
        }
    });
    let stack = TraceIdLayer::new()
        .tracer(Tracer::new(spans.clone()))
        .layer(twice);
    drop(
        stack
            .oneshot(request("/"))
            .await
            .unwrap()
            .into_body()
            .collect()
            .await,
    );
    let spans = spans.take();
    assert_eq!(spans[0].attribute("http.request.resend_count"), None);
    assert_eq!(
        spans[1].attribute("http.request.resend_count"),
        Some(&1_u16.into())
    );
    assert_eq!(spans[0].parent_id, spans[1].parent_id);
}

#[tokio::test]
async fn the_layers_keep_readiness() {
    let mut service = ServiceBuilder::new()
        .layer(ServeLayer::off())
        .layer(StageLayer::new("x"))
        .layer(HopLayer::tunnel())
        .service(Probe::new());
    let answer = ready(&mut service).await.call(request("/")).await;
    assert_eq!(answer.unwrap().status(), 200);
}
