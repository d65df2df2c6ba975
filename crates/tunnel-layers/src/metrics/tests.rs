use std::{convert::Infallible, time::Duration};

use axum::{Router, routing::get};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tokio::time::advance;
use tokio_test::{assert_ready, task};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tunnel_core::{
    BoxError, Cause, Initiator, Lifetime, Record, Target, TunnelError,
    turn::Turns,
    upgrade::{Relayed, Switched},
};

use super::*;
use crate::{
    reject::Direct,
    rescue::RescueLayer,
    route::{RouteLayer, Rule, Rules},
    test_util::{
        Probe, Scripted, Step, assert_send, assert_shareable, axum_request, grpc_request, ready, request,
    },
};

/// A recorder that this thread uses.
struct Recorder {
    handle: PrometheusHandle,
    _guard: metrics::LocalRecorderGuard<'static>,
}

impl Recorder {
    fn new() -> Self {
        let recorder: &'static PrometheusRecorder =
            Box::leak(Box::new(PrometheusBuilder::new().build_recorder()));
        Self {
            handle: recorder.handle(),
            _guard: metrics::set_default_local_recorder(recorder),
        }
    }

    /// The sample of this metric that has all of these labels, in the form `name="value"`.
    fn value(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let text = self.handle.render();
        let line = text.lines().find(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        })?;
        line.rsplit(' ').next()?.parse().ok()
    }

    fn series(&self, name: &str) -> usize {
        let text = self.handle.render();
        let with_labels = format!("{name}{{");
        text.lines().filter(|line| line.starts_with(&with_labels)).count()
    }
}

/// Answers with this body.
fn answering(
    make: impl Fn() -> Response<Scripted> + Clone + Send + 'static,
) -> impl Service<
    Request<crate::observe::RequestBody<Scripted>>,
    Response = Response<Scripted>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send {
    service_fn(move |_: Request<_>| std::future::ready(Ok::<_, Infallible>(make())))
}

fn the_row(overview: &Overview) -> Row {
    let mut rows = overview.snapshot();
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows.remove(0)
}

#[tokio::test]
async fn an_exchange_is_counted_when_its_body_ends() {
    let recorder = Recorder::new();
    let overview = Overview::new();
    let layer = MetricsLayer::new().overview(overview.clone());
    let service = layer.layer(service_fn(
        |request: Request<crate::observe::RequestBody<Scripted>>| async {
            let received = request.into_body().collect().await?.to_bytes();
            assert_eq!(received, "ping");
            Ok::<_, BoxError>(Response::new(Scripted::of(["hello ", "world"])))
        },
    ));
    let answer = service
        .oneshot(request("/").map(|_| Scripted::of(["pi", "ng"])))
        .await
        .unwrap();
    assert_eq!(recorder.value("tunnel_exchanges_open", &[]), Some(1.0));
    assert_eq!(recorder.value("tunnel_exchanges_total", &[]), None);
    answer.into_body().collect().await.unwrap();
    let labels = ["role=\"gateway\"", "rule=\"\"", "protocol=\"http\""];
    let with = |more| [&labels[..], &[more]].concat();
    assert_eq!(recorder.value("tunnel_exchanges_open", &labels), Some(0.0));
    assert_eq!(
        recorder.value("tunnel_exchanges_total", &with("status=\"2xx\"")),
        Some(1.0)
    );
    assert_eq!(
        recorder.value("tunnel_exchange_received_bytes_total", &labels),
        Some(4.0)
    );
    assert_eq!(
        recorder.value("tunnel_exchange_sent_bytes_total", &labels),
        Some(11.0)
    );
    assert_eq!(
        recorder.value("tunnel_exchange_duration_seconds_count", &labels),
        Some(1.0)
    );
    let row = the_row(&overview);
    assert_eq!(
        (row.requests, row.open, row.bytes_in, row.bytes_out),
        (1, 0, 4, 11)
    );
    assert_eq!(row.statuses, [0, 0, 1, 0, 0, 0]);
    assert_eq!(row.failed(), 0);
}

#[tokio::test(start_paused = true)]
async fn times_are_those_of_the_head_and_of_the_whole() {
    let recorder = Recorder::new();
    let service = MetricsLayer::new().layer(service_fn(|_: Request<_>| async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok::<_, Infallible>(Response::new(Scripted::of(["x"])))
    }));
    let answer = service.oneshot(request("/")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    answer.into_body().collect().await.unwrap();
    let sum = |name| recorder.value(name, &[]).unwrap();
    assert_eq!(sum("tunnel_exchange_first_byte_seconds_sum"), 2.0);
    assert_eq!(sum("tunnel_exchange_duration_seconds_sum"), 5.0);
}

#[tokio::test(start_paused = true)]
async fn who_works_without_waiting_is_measured() {
    let overview = Overview::new();
    let layer = MetricsLayer::new().overview(overview.clone());
    // It takes five milliseconds of one poll, which a service does that computes.
    let service = service_fn(|_: Request<_>| async {
        assert!(task::spawn(advance(Duration::from_millis(5))).poll().is_pending());
        Ok::<_, Infallible>(Response::new(Scripted::of(["body"])))
    });
    let mut exchange = task::spawn(Turns::new(async {
        let answer = layer.layer(service).oneshot(request("/")).await.unwrap();
        answer.into_body().collect().await.unwrap().to_bytes()
    }));
    assert_eq!(assert_ready!(exchange.poll()), "body", "in one turn");
    let row = the_row(&overview);
    assert_eq!((row.requests, row.open), (1, 0));
    assert_eq!(row.latency_sum, Duration::from_millis(5));
}

#[tokio::test]
async fn whatever_ends_it_is_counted_once() {
    /// What is answered, how many frames are taken, and what failed then.
    type Case = (Response<Scripted>, usize, &'static [(&'static str, u64)]);
    let cases: [Case; 5] = [
        (Response::new(Scripted::of(["a"])), 9, &[]),
        (Response::new(Scripted::default()), 0, &[]),
        (Response::new(Scripted::of(["a", "b"])), 1, &[("canceled", 1)]),
        (
            Response::new(Scripted::new([Step::Data("a"), Step::Fail("broken".into())])),
            9,
            &[("upstream", 1)],
        ),
        (
            Response::new(Scripted::new([Step::Fail(lost().into())])),
            9,
            &[("agent-lost", 1)],
        ),
    ];
    for (answer, frames, failures) in cases {
        let overview = Overview::new();
        let answer = std::sync::Arc::new(std::sync::Mutex::new(Some(answer)));
        let service = MetricsLayer::new()
            .overview(overview.clone())
            .layer(answering(move || answer.lock().unwrap().take().unwrap()));
        let mut body = service.oneshot(request("/")).await.unwrap().into_body();
        for _ in 0..frames {
            if !matches!(body.frame().await, Some(Ok(_))) {
                break;
            }
        }
        drop(body);
        let row = the_row(&overview);
        assert_eq!((row.requests, row.open), (1, 0));
        assert_eq!(row.failures, failures);
    }
}

fn lost() -> TunnelError {
    TunnelError::new(Cause::AgentLost, Initiator::Peer, "the agent was lost")
}

#[tokio::test]
async fn a_call_that_is_given_up_is_canceled() {
    let overview = Overview::new();
    let mut service = MetricsLayer::new()
        .overview(overview.clone())
        .layer(service_fn(|_: Request<_>| {
            std::future::pending::<Result<Response<Scripted>, Infallible>>()
        }));
    let mut call = task::spawn(ready(&mut service).await.call(request("/")));
    tokio_test::assert_pending!(call.poll());
    assert_eq!(the_row(&overview).open, 1);
    drop(call);
    let row = the_row(&overview);
    assert_eq!((row.open, &row.failures[..]), (0, &[("canceled", 1)][..]));
    assert_eq!(row.statuses[0], 1, "there was no answer");
}

#[tokio::test]
async fn a_failure_has_the_cause_of_the_tunnel() {
    for rescued in [false, true] {
        let overview = Overview::new();
        let metrics = MetricsLayer::new().overview(overview.clone());
        let failing = service_fn(|_: Request<_>| async { Err::<Response<Scripted>, _>(lost()) });
        if rescued {
            let service = ServiceBuilder::new()
                .layer(metrics)
                .layer(RescueLayer::new())
                .service(failing);
            let answer = service.oneshot(request("/")).await.unwrap();
            answer.into_body().collect().await.unwrap();
        } else {
            metrics.layer(failing).oneshot(request("/")).await.unwrap_err();
        }
        let row = the_row(&overview);
        assert_eq!(row.failures, [("agent-lost", 1)]);
        let class = if rescued { 5 } else { 0 };
        assert_eq!(row.statuses[class], 1);
    }
}

#[tokio::test]
async fn calls_count_by_their_grpc_status() {
    let recorder = Recorder::new();
    let overview = Overview::new();
    let layer = MetricsLayer::new().overview(overview.clone());
    let status = |code: &'static str| {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static(code));
        trailers
    };
    // In trailers, and in a head that is all.
    for code in ["0", "5", "14", "77"] {
        let service = layer.layer(answering(move || {
            Response::new(Scripted::new([Step::Data("x"), Step::Trailers(status(code))]))
        }));
        let answer = service.oneshot(grpc_request()).await.unwrap();
        answer.into_body().collect().await.unwrap();
    }
    let service = layer.layer(answering(move || {
        let mut response = Response::new(Scripted::default());
        *response.headers_mut() = status("16");
        response
    }));
    drop(service.oneshot(grpc_request()).await.unwrap());
    for word in ["OK", "NOT_FOUND", "UNAVAILABLE", "UNKNOWN", "UNAUTHENTICATED"] {
        let labels = [&*format!("status=\"{word}\""), "protocol=\"grpc\""];
        assert_eq!(
            recorder.value("tunnel_exchanges_total", &labels),
            Some(1.0),
            "{word}"
        );
    }
    let row = the_row(&overview);
    assert_eq!(row.statuses, [0, 0, 1, 0, 2, 2]);
    assert_eq!(row.failed(), 0, "the service's own answers");
}

#[tokio::test]
async fn rules_are_labels_and_what_outsiders_choose_is_not() {
    let recorder = Recorder::new();
    let overview = Overview::new();
    let rules = Rules::compile([
        Rule::direct("hello", Direct::new(StatusCode::OK)).path_prefix("/hello"),
        Rule::group("shop", "web".parse().unwrap()).path_prefix("/shop"),
    ]);
    let service = ServiceBuilder::new()
        .layer(MetricsLayer::new().overview(overview.clone()))
        .layer(RouteLayer::new(rules.unwrap()))
        .service(answering(|| Response::new(Scripted::of(["x"]))));
    for n in 0..1_000 {
        for path in ["/hello", "/shop", ""] {
            let mut request = request(&format!("{path}/{n}"));
            let host = format!("h{n}.example.com");
            request
                .headers_mut()
                .insert("host", HeaderValue::from_str(&host).unwrap());
            let answer = service.clone().oneshot(request).await.unwrap();
            answer.into_body().collect().await.unwrap();
        }
    }
    assert_eq!(recorder.series("tunnel_exchanges_total"), 3);
    let shop = ["rule=\"shop\"", "group=\"web\"", "upstream=\"\""];
    assert_eq!(recorder.value("tunnel_exchanges_total", &shop), Some(1_000.0));
    assert_eq!(
        recorder.value("tunnel_exchange_failures_total", &["cause=\"no-route\""]),
        Some(1_000.0)
    );
    let rows = overview.snapshot();
    let rules: Vec<_> = rows.iter().map(|row| (&*row.rule, row.requests)).collect();
    assert_eq!(rules, [("", 1_000), ("hello", 1_000), ("shop", 1_000)]);
}

/// Whoever asks is told what the recorder is told, at a gateway and at an agent.
#[tokio::test]
async fn the_families_are_what_the_recorder_has() {
    for own in [None, Some("own")] {
        let recorder = Recorder::new();
        let overview = Overview::new();
        let layer = MetricsLayer::new().group("g").overview(overview.clone());
        let layer = match own {
            None => layer,
            Some(name) => layer.agent(name),
        };
        let service = layer.layer(service_fn(move |request| one_of_many(request, own.is_none())));
        for path in ["", "retried", "lost", "404", "500", "204"] {
            let request = request(&format!("/{path}")).map(|_| Scripted::of(["in"]));
            if let Ok(answer) = service.clone().oneshot(request).await {
                answer.into_body().collect().await.unwrap();
            }
        }
        let families = overview.families();
        assert_eq!(families.len(), 13);
        for Family { name, samples, .. } in families {
            // A histogram has more lines, and one that tells how many it has.
            let recorded = match recorder.series(&format!("{name}_count")) {
                0 => recorder.series(name),
                histograms => histograms,
            };
            assert_eq!(recorded, samples.len(), "{name}");
            for (labels, sample) in samples {
                let text = |label: &metrics::Label| format!("{}=\"{}\"", label.key(), label.value());
                let labels: Vec<_> = labels.iter().map(text).collect();
                let labels: Vec<_> = labels.iter().map(String::as_str).collect();
                let value = |end| recorder.value(&format!("{name}{end}"), &labels).unwrap();
                match sample {
                    Sample::Counter(count) => assert_eq!(value(""), count as f64, "{name} {labels:?}"),
                    Sample::Gauge(number) => assert_eq!(value(""), number, "{name} {labels:?}"),
                    Sample::Histogram { below, count, sum } => {
                        assert_eq!(value("_count"), count as f64, "{name} {labels:?}");
                        assert!((value("_sum") - sum).abs() < 1e-6, "{name} {labels:?}");
                        assert_eq!(below.last().unwrap().1, count, "nothing took long");
                    }
                }
            }
        }
    }
}

/// Does what the path says.
async fn one_of_many(
    request: Request<crate::observe::RequestBody<Scripted>>,
    is_gateway: bool,
) -> Result<Response<Scripted>, BoxError> {
    let path = request.uri().path()[1..].to_owned();
    let record = request.extensions().get::<Record>().unwrap().clone();
    record.note_rule(&"r".into(), None::<&Target>);
    if is_gateway {
        let id = tunnel_core::RequestId::NIL;
        record.note_sent(&"first".parse().unwrap(), id);
        if path == "retried" {
            tokio::task::yield_now().await;
            record.note_sent(&"second".parse().unwrap(), id);
        }
    }
    request.into_body().collect().await?;
    if path == "lost" {
        return Err(lost().into());
    }
    let mut response = Response::new(Scripted::of(["x"]));
    *response.status_mut() = path.parse().unwrap_or(StatusCode::OK);
    Ok(response)
}

#[tokio::test]
async fn names_are_bounded() {
    let recorder = Recorder::new();
    let overview = Overview::new();
    let layer = MetricsLayer::new()
        .overview(overview.clone())
        .max_agents(2)
        .max_rules(3);
    let service = layer.layer(service_fn(
        |request: Request<crate::observe::RequestBody<Scripted>>| {
            let n = request.uri().path()[1..].to_owned();
            let record = request.extensions().get::<Record>().unwrap();
            let id = tunnel_core::RequestId::NIL;
            record.note_sent(&format!("agent-{n}").parse().unwrap(), id);
            record.note_rule(&format!("rule-{n}").into(), None::<&Target>);
            std::future::ready(Ok::<_, Infallible>(Response::new(Scripted::of(["x"]))))
        },
    ));
    for n in 0..10 {
        let answer = service.clone().oneshot(request(&format!("/{n}"))).await.unwrap();
        answer.into_body().collect().await.unwrap();
    }
    let value = |label| recorder.value("tunnel_agent_exchanges_total", &[label, "outcome=\"ok\""]);
    assert_eq!(value("agent=\"agent-1\""), Some(1.0));
    assert_eq!(value("agent=\"other\""), Some(8.0));
    assert_eq!(recorder.series("tunnel_agent_exchanges_total"), 3);
    assert_eq!(recorder.series("tunnel_exchanges_total"), 4);
    let other = overview.snapshot().into_iter().find(|row| &*row.rule == "other");
    assert_eq!(other.unwrap().requests, 7);
    assert_eq!(overview.agents().len(), 3);
}

#[tokio::test]
async fn another_try_counts_for_both_agents() {
    let recorder = Recorder::new();
    let service = MetricsLayer::new().layer(service_fn(
        |request: Request<crate::observe::RequestBody<Scripted>>| async move {
            let record = request.extensions().get::<Record>().unwrap().clone();
            let id = tunnel_core::RequestId::NIL;
            record.note_sent(&"first".parse().unwrap(), id);
            tokio::task::yield_now().await;
            record.note_sent(&"second".parse().unwrap(), id);
            Ok::<_, Infallible>(Response::new(Scripted::of(["x"])))
        },
    ));
    let answer = service.oneshot(request("/")).await.unwrap();
    answer.into_body().collect().await.unwrap();
    let value = |name, labels: &[_]| recorder.value(name, labels);
    let total = "tunnel_agent_exchanges_total";
    assert_eq!(
        value(total, &["agent=\"first\"", "outcome=\"retried\""]),
        Some(1.0)
    );
    assert_eq!(value(total, &["agent=\"second\"", "outcome=\"ok\""]), Some(1.0));
    for agent in ["agent=\"first\"", "agent=\"second\""] {
        assert_eq!(value("tunnel_agent_exchanges_open", &[agent]), Some(0.0));
    }
}

#[tokio::test]
async fn what_an_agent_sends_on_is_its_own_exchange() {
    let recorder = Recorder::new();
    let layer = MetricsLayer::new().agent("own");
    let service = layer.layer(service_fn(
        |request: Request<crate::observe::RequestBody<Scripted>>| async move {
            let record = request.extensions().get::<Record>().unwrap().clone();
            record.note_sent(&"next".parse().unwrap(), tunnel_core::RequestId::NIL);
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(Response::new(Scripted::of(["x"])))
        },
    ));
    let answer = service.oneshot(request("/")).await.unwrap();
    answer.into_body().collect().await.unwrap();
    let value = |outcome| recorder.value("tunnel_agent_exchanges_total", &["agent=\"own\"", outcome]);
    assert_eq!(value("outcome=\"ok\""), Some(1.0));
    assert_eq!(value("outcome=\"retried\""), None);
}

#[tokio::test]
async fn an_upgraded_exchange_ends_with_its_stream() {
    let upgrade = || {
        let mut request = request("/");
        let websocket = HeaderValue::from_static("websocket");
        request.headers_mut().insert("upgrade", websocket);
        request
    };
    // Relayed, or served by hyper's contract: the stream is elsewhere.
    for is_relayed in [true, false] {
        let overview = Overview::new();
        let held = std::sync::Arc::new(std::sync::Mutex::new(None));
        let keep = held.clone();
        let service = MetricsLayer::new().overview(overview.clone()).layer(service_fn(
            move |mut request: Request<crate::observe::RequestBody<Scripted>>| {
                let lifetime = Lifetime::of(request.extensions_mut());
                let record = request.extensions().get::<Record>().unwrap().clone();
                *keep.lock().unwrap() = Some((lifetime, record));
                let mut response = Response::new(Scripted::default());
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                if is_relayed {
                    response.extensions_mut().insert(Relayed);
                }
                std::future::ready(Ok::<_, Infallible>(response))
            },
        ));
        drop(service.oneshot(upgrade()).await.unwrap());
        assert_eq!(the_row(&overview).open, 1);
        let (lifetime, record) = held.lock().unwrap().take().unwrap();
        record.add_received(3);
        record.add_sent(5);
        drop(lifetime);
        let row = the_row(&overview);
        assert_eq!((row.open, row.bytes_in, row.bytes_out), (0, 3, 5));
        assert_eq!(row.statuses[1], 1);
        assert_eq!(row.failed(), 0);
    }
    // The bodies are the stream: it is over when both are.
    let overview = Overview::new();
    let kept = std::sync::Arc::new(std::sync::Mutex::new(None));
    let keep = kept.clone();
    let service = MetricsLayer::new().overview(overview.clone()).layer(service_fn(
        move |request: Request<crate::observe::RequestBody<Scripted>>| {
            *keep.lock().unwrap() = Some(request.into_body());
            let mut response = Response::new(Scripted::of(["down"]));
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            response.extensions_mut().insert(Switched);
            std::future::ready(Ok::<_, Infallible>(response))
        },
    ));
    let answer = service
        .oneshot(upgrade().map(|_| Scripted::of(["up", "up"])))
        .await
        .unwrap();
    answer.into_body().collect().await.unwrap();
    assert_eq!(the_row(&overview).open, 1, "the other direction goes on");
    let body = kept.lock().unwrap().take().unwrap();
    body.collect().await.unwrap();
    let row = the_row(&overview);
    assert_eq!((row.open, row.bytes_in, row.bytes_out), (0, 4, 4));
    assert_eq!(row.failed(), 0);
}

#[tokio::test]
async fn a_body_that_is_left_at_its_length_was_whole() {
    for (method, length, failed) in [("GET", "1", 0), ("GET", "2", 1), ("HEAD", "9", 0)] {
        let overview = Overview::new();
        let service = MetricsLayer::new()
            .overview(overview.clone())
            .layer(answering(move || {
                let mut response = Response::new(Scripted::of(["x", ""]));
                response
                    .headers_mut()
                    .insert("content-length", HeaderValue::from_static(length));
                response
            }));
        let mut request = request("/");
        *request.method_mut() = method.parse().unwrap();
        let mut body = service.oneshot(request).await.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        drop(body);
        assert_eq!(the_row(&overview).failed(), failed, "{method} {length}");
    }
}

#[tokio::test]
async fn it_stands_alone_around_axum_and_a_bare_service() {
    let overview = Overview::new();
    let layer = MetricsLayer::new().overview(overview.clone());
    let app = Router::new()
        .route("/", get(|| async { "hi" }))
        .layer(layer.clone());
    for path in ["/", "/none"] {
        let answer = app.clone().oneshot(axum_request(path)).await.unwrap();
        answer.into_body().collect().await.unwrap();
    }
    let probe = Probe::new();
    let calls = probe.calls();
    let mut service = layer.layer(probe);
    assert_shareable(&service);
    let call = ready(&mut service).await.call(request("/"));
    assert_send(&call);
    call.await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(calls.load(std::sync::atomic::Ordering::SeqCst), 1);
    let row = the_row(&overview);
    assert_eq!((row.requests, row.open), (3, 0));
    assert_eq!((row.statuses[2], row.statuses[4]), (2, 1));
}
