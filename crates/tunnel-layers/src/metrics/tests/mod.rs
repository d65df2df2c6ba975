//! What is counted, and when.

mod ends;
mod names;

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

fn lost() -> TunnelError {
    TunnelError::new(Cause::AgentLost, Initiator::Peer, "the agent was lost")
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
