use std::{
    convert::Infallible,
    sync::{Arc, Mutex, OnceLock},
};

use axum::{Router, routing::get};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt, service_fn};
use tracing::Level;
use tracing_subscriber::{filter::LevelFilter, layer::SubscriberExt, registry::LookupSpan};
use tunnel_core::{BoxError, Lifetime};

use super::*;
use crate::{
    TraceContext, TraceId,
    auth::{AuthLayer, Rejection, auth_fn},
    rescue::RescueLayer,
    test_util::{
        Probe, Scripted, Step, assert_send, assert_shareable, axum_request, grpc, grpc_request, ready,
        request,
    },
};

const ID: &str = "0af7651916cd43dd8448eb211c80319c";

fn parent() -> HeaderValue {
    HeaderValue::from_str(&format!("00-{ID}-b7ad6b7169203331-00")).unwrap()
}

/// The headers that the wrapped service saw, and the context of their request.
async fn seen<M: MakeTraceId + Clone>(
    layer: TraceIdLayer<M>,
    request: Request<Scripted>,
) -> (HeaderMap, TraceContext, HeaderMap) {
    let service = layer.layer(service_fn(|request: Request<Scripted>| async move {
        let mut response = Response::new(Scripted::default());
        let context: TraceContext = *request.extensions().get().expect("a context");
        response
            .extensions_mut()
            .insert((request.headers().clone(), context));
        Ok::<_, Infallible>(response)
    }));
    let answer = service.oneshot(request).await.unwrap();
    let (headers, context) = answer
        .extensions()
        .get::<(HeaderMap, TraceContext)>()
        .unwrap()
        .clone();
    (headers, context, answer.headers().clone())
}

#[tokio::test]
async fn a_valid_parent_is_continued_with_its_state() {
    let mut request = request("/");
    request.headers_mut().insert("traceparent", parent());
    request
        .headers_mut()
        .append("tracestate", HeaderValue::from_static("a=1"));
    request
        .headers_mut()
        .append("tracestate", HeaderValue::from_static("b=2"));
    let (headers, context, answer) = seen(TraceIdLayer::new(), request).await;
    assert_eq!(context.trace_id().to_string(), ID);
    assert_ne!(context.span_id().to_string(), "b7ad6b7169203331");
    assert!(!context.is_sampled(), "the caller's decision stays");
    assert_eq!(headers["traceparent"], context.to_header());
    assert_eq!(headers.get_all("tracestate").iter().count(), 2);
    assert_eq!(answer["x-trace-id"], ID);
}

#[tokio::test]
async fn what_is_not_to_be_believed_is_replaced() {
    let sets: [(&[HeaderValue], bool); 4] = [
        (&[HeaderValue::from_static("00-xyz")], true),
        (&[parent(), parent()], true),
        (&[parent()], false),
        (&[], true),
    ];
    for (values, trust) in sets {
        let mut request = request("/");
        for value in values {
            request.headers_mut().append("traceparent", value.clone());
        }
        request
            .headers_mut()
            .insert("tracestate", HeaderValue::from_static("a=1"));
        let (headers, context, answer) = seen(TraceIdLayer::new().trust(trust), request).await;
        assert_ne!(context.trace_id().to_string(), ID);
        assert_eq!(headers["traceparent"], context.to_header());
        assert_eq!(headers.get_all("traceparent").iter().count(), 1);
        assert!(!headers.contains_key("tracestate"));
        assert_eq!(answer["x-trace-id"], context.trace_id().to_string());
        assert!(
            context.to_header().to_str().unwrap().ends_with("-03"),
            "sampled and random"
        );
    }
}

#[tokio::test]
async fn ids_can_be_made_otherwise() {
    let layer = TraceIdLayer::new()
        .make(|_: &HeaderMap| TraceId::new(7).expect("not 0"))
        .sampled(false);
    assert!(format!("{layer:?}").contains("closure"));
    let (_, context, _) = seen(layer, request("/")).await;
    assert_eq!(context.trace_id(), TraceId::new(7).unwrap());
    assert!(context.to_header().to_str().unwrap().ends_with("-00"));
    let (_, one, _) = seen(TraceIdLayer::new(), request("/")).await;
    let (_, two, _) = seen(TraceIdLayer::new(), request("/")).await;
    assert_ne!(one.trace_id(), two.trace_id());
}

#[tokio::test]
async fn a_refusal_has_the_id_too() {
    let service = TraceIdLayer::new().layer(Probe::new());
    let mut request = request("/");
    request.headers_mut().remove("host");
    request.headers_mut().insert("traceparent", parent());
    let answer = service.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.headers()["x-trace-id"], ID);
}

/// Writes down what happens to spans.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> tracing_subscriber::Layer<S> for Log {
    fn on_new_span(
        &self,
        attributes: &tracing::span::Attributes<'_>,
        _: &tracing::span::Id,
        _: tracing_subscriber::layer::Context<'_, S>,
    ) {
        let mut fields = Vec::new();
        attributes.record(
            &mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
                fields.push(format!("{field}={value:?}"));
            },
        );
        fields.retain(|field| !field.starts_with("span.id"));
        let mut log = self.0.lock().unwrap();
        log.push(format!(
            "open {} {}",
            attributes.metadata().name(),
            fields.join(" ")
        ));
    }

    fn on_event(&self, event: &tracing::Event<'_>, context: tracing_subscriber::layer::Context<'_, S>) {
        let mut text = format!("{} ", event.metadata().level());
        event.record(
            &mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
                text += &format!("{field}={value:?} ");
            },
        );
        if let Some(span) = context.event_span(event) {
            text += &format!("in {}", span.metadata().level());
        }
        self.0.lock().unwrap().push(text);
    }

    fn on_record(
        &self,
        _: &tracing::span::Id,
        values: &tracing::span::Record<'_>,
        _: tracing_subscriber::layer::Context<'_, S>,
    ) {
        values.record(
            &mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
                self.0.lock().unwrap().push(format!("{field}={value:?}"));
            },
        );
    }

    fn on_close(&self, _: tracing::span::Id, _: tracing_subscriber::layer::Context<'_, S>) {
        self.0.lock().unwrap().push("close".to_owned());
    }
}

/// Writes down what happens to spans on this thread.
///
/// Other tests open spans at the same places without a subscriber. While there is only one subscriber, the first to come
/// by decides for all threads whether anybody listens there; with more, all of them are asked. So two are kept.
fn listen(log: &Log) -> tracing::subscriber::DefaultGuard {
    listen_above(LevelFilter::TRACE, log)
}

/// The same, for what is not below this level.
fn listen_above(level: LevelFilter, log: &Log) -> tracing::subscriber::DefaultGuard {
    static KEPT: OnceLock<[tracing::Dispatch; 2]> = OnceLock::new();
    KEPT.get_or_init(|| [(), ()].map(|()| tracing::Dispatch::new(tracing_subscriber::registry())));
    tracing::subscriber::set_default(tracing_subscriber::registry().with(level).with(log.clone()))
}

/// A service that answers with this body, and wants to be in the span.
fn answering(
    steps: impl IntoIterator<Item = Step>,
) -> impl Service<Request<Scripted>, Response = Response<Scripted>, Error = Infallible> {
    let mut body = Some(Scripted::new(steps));
    service_fn(move |_| {
        let body = body.take().expect("called once");
        assert!(tracing::Span::current().id().is_some(), "called in the span");
        async move {
            assert!(tracing::Span::current().id().is_some(), "polled in the span");
            Ok(Response::new(body))
        }
    })
}

#[tokio::test]
async fn the_span_is_open_until_the_body_ends_fails_or_is_dropped() {
    let log = Log::default();
    let _default = listen(&log);
    let opened = format!("open exchange trace.id={ID} http.request.method=GET url.path=\"/a\"");
    let start = async |steps: Vec<Step>| {
        let mut request = request("/a?token=hunter2");
        request.headers_mut().insert("traceparent", parent());
        let service = TraceIdLayer::new().layer(answering(steps));
        let body = service.oneshot(request).await.unwrap().into_body();
        assert_eq!(log.take(), [opened.as_str(), "http.response.status_code=200"]);
        body
    };

    let mut ends = start(vec![Step::Data("x")]).await;
    assert!(ends.frame().await.unwrap().is_ok());
    assert_eq!(log.take(), [""; 0]);
    assert!(ends.frame().await.is_none());
    assert_eq!(log.take(), ["close"]);

    let mut fails = start(vec![Step::Fail("broken".into())]).await;
    assert!(fails.frame().await.unwrap().is_err());
    assert_eq!(log.take(), ["close"]);

    let dropped = start(vec![Step::Hang]).await;
    drop(dropped);
    assert_eq!(log.take(), ["close"]);
}

#[tokio::test]
async fn the_span_has_the_level_that_is_asked_for() {
    let log = Log::default();
    let all = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
    for level in all {
        let service = service_fn(|_: Request<Scripted>| async {
            tracing::error!("seen");
            Ok::<_, Infallible>(Response::new(Scripted::default()))
        });
        let service = TraceIdLayer::new().level(level).layer(service);
        for (listened, is_heard) in [(level, true), (Level::ERROR, level == Level::ERROR)] {
            let _default = listen_above(listened.into(), &log);
            drop(service.clone().oneshot(request("/")).await.unwrap());
            let heard = log.take();
            let span = if is_heard {
                format!("in {level}")
            } else {
                String::new()
            };
            assert!(heard.contains(&format!("ERROR message=seen {span}")), "{heard:?}");
        }
    }
}

/// What is logged about a request is found by its trace, whether there is a span around it or not.
#[tokio::test]
async fn what_is_logged_about_a_failure_names_the_trace() {
    let log = Log::default();
    let _default = listen_above(LevelFilter::INFO, &log);
    let traced = |mut request: Request<Scripted>| {
        request.headers_mut().insert("traceparent", parent());
        request
    };
    let named = format!("trace.id={ID} ");

    let failing = service_fn(|_: Request<Scripted>| async {
        Err::<Response<Scripted>, BoxError>("no such table".into())
    });
    let service = TraceIdLayer::new().layer(RescueLayer::new().layer(failing));
    let answer = service.oneshot(traced(request("/"))).await.unwrap();
    assert_eq!(answer.status(), 500);
    let told = log.take();
    assert!(
        told.len() == 1 && told[0].contains(&named) && told[0].contains("no such table"),
        "{told:?}"
    );

    // The call has its head already.
    let breaking = service_fn(|_: Request<Scripted>| async {
        let mut response = Response::new(Scripted::new([Step::Fail("the disk is full".into())]));
        response.headers_mut().insert("content-type", grpc());
        Ok::<_, BoxError>(response)
    });
    let service = TraceIdLayer::new().layer(RescueLayer::new().layer(breaking));
    let answer = service.oneshot(traced(grpc_request())).await.unwrap();
    answer.into_body().collect().await.unwrap();
    let told = log.take();
    assert!(
        told.len() == 1 && told[0].contains(&named) && told[0].contains("the disk is full"),
        "{told:?}"
    );

    let away = auth_fn(|_| std::future::ready(Err(Rejection::unavailable("the directory is away"))));
    let service = TraceIdLayer::new().layer(AuthLayer::new(away).layer(Probe::new()));
    let answer = service.oneshot(traced(request("/"))).await.unwrap();
    assert_eq!(answer.status(), 503);
    let told = log.take();
    assert!(
        told.len() == 1 && told[0].contains(&named) && told[0].contains("the directory is away"),
        "{told:?}"
    );
}

#[tokio::test]
async fn the_span_stays_open_with_an_upgraded_stream() {
    let log = Log::default();
    let _default = listen(&log);
    let service = TraceIdLayer::new().layer(service_fn(|mut request: Request<Scripted>| async move {
        let stream = Lifetime::of(request.extensions_mut());
        let mut response = Response::new(Scripted::default());
        response.extensions_mut().insert(stream);
        Ok::<_, Infallible>(response)
    }));
    let mut request = request("/");
    for (name, value) in [("connection", "upgrade"), ("upgrade", "websocket")] {
        request
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    let (mut parts, body) = service.oneshot(request).await.unwrap().into_parts();
    let stream: Lifetime = parts.extensions.remove().unwrap();
    drop(body);
    assert!(!log.take().contains(&"close".to_owned()));
    drop(stream);
    assert_eq!(log.take(), ["close"]);
}

#[tokio::test]
async fn it_calls_only_what_is_ready_and_is_shareable() {
    let layer = TraceIdLayer::default();
    let mut service = layer.layer(Probe::new());
    assert_shareable(&layer);
    assert_shareable(&service);
    for _ in 0..2 {
        let future = ready(&mut service).await.call(request("/"));
        assert_send(&future);
        assert_eq!(future.await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn it_stands_around_an_axum_router_and_within() {
    let app: Router = Router::new()
        .route("/", get(|| async { "app" }))
        .layer(TraceIdLayer::new());
    let service = TraceIdLayer::new().layer(app);
    let answer = service.oneshot(axum_request("/")).await.unwrap();
    assert_eq!(answer.headers().get_all("x-trace-id").iter().count(), 1);
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "app");
}
