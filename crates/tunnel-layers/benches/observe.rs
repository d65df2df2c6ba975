//! What measuring and logging cost for a small exchange, from its head to the end of its body, beside the bare service: `cargo bench
//! -p tunnel-layers --all-features --bench observe`. What the layers further in note for them is part of it.
//!
//! Times are those on the processor, where the system tells them, so that a busy machine disturbs less.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    io,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use http_body::Body as _;
use http_body_util::Full;
use metrics_exporter_prometheus::PrometheusBuilder;
use tower::{Layer, Service, ServiceBuilder, layer::util::Identity};
use tunnel_core::{AgentId, PeerInfo, Principal, Record, RequestId, Target, TraceId};
use tunnel_layers::{
    access_log::{AccessLogLayer, Entry, Format, Writer},
    metrics::{MetricsLayer, Overview},
    observe::ObserveLayer,
};

type Body = Full<Bytes>;

/// Answers at once, and notes what the layers of a gateway note.
#[derive(Clone)]
struct Noting {
    rule: Arc<str>,
    target: Target,
    principal: Principal,
    agent: AgentId,
    id: RequestId,
    trace: TraceId,
}

impl Noting {
    fn new() -> Self {
        let trace = TraceId::from_text(b"0af7651916cd43dd8448eb211c80319c");
        Self {
            rule: "shop".into(),
            target: Target::Group("web".parse().expect("a name")),
            principal: Principal::new("alice", "bearer"),
            agent: "eu-1".parse().expect("a name"),
            id: RequestId::from_parts(1, [7; 10]),
            trace: trace.expect("a trace id"),
        }
    }
}

impl<B> Service<Request<B>> for Noting {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if let Some(record) = request.extensions().get::<Record>() {
            record.note_trace(self.trace);
            record.note_rule(&self.rule, Some(&self.target));
            record.note_principal(&self.principal);
            record.note_sent(&self.agent, self.id);
        }
        black_box(request);
        ready(Ok(Response::new(Body::from("hello"))))
    }
}

fn request() -> Request<Body> {
    let request = Request::get("/path?query=1")
        .header("host", "example.com")
        .header("user-agent", "curl/8")
        .header("accept", "*/*");
    let mut request = request.body(Body::default()).expect("a valid request");
    let peer = "192.0.2.1:1".parse().expect("an address");
    request.extensions_mut().insert(PeerInfo::plaintext(peer));
    request
}

fn measure<L, S, RB>(criterion: &mut Criterion, name: &str, layer: L)
where
    L: Layer<Noting, Service = S>,
    S: Service<Request<Body>, Response = Response<RB>, Error = Infallible>,
    RB: http_body::Body,
{
    let request = request();
    let mut service = layer.layer(Noting::new());
    let mut cx = Context::from_waker(Waker::noop());
    criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|times| {
            let start = on_processor();
            for _ in 0..times {
                let _ = black_box(service.poll_ready(&mut cx));
                let mut call = pin!(service.call(request.clone()));
                let Poll::Ready(Ok(answer)) = call.as_mut().poll(&mut cx) else {
                    panic!("the service answers at once");
                };
                let mut body = pin!(answer.into_body());
                while !body.is_end_stream() {
                    black_box(body.as_mut().poll_frame(&mut cx).is_ready());
                }
            }
            on_processor() - start
        });
    });
}

/// How long this thread has been on a processor, to a few milliseconds; without such numbers, the time of the clock.
fn on_processor() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    match text.split(' ').next().and_then(|nanos| nanos.parse().ok()) {
        Some(nanos) => Duration::from_nanos(nanos),
        None => std::time::UNIX_EPOCH.elapsed().unwrap_or_default(),
    }
}

fn layers(criterion: &mut Criterion) {
    let overview = || MetricsLayer::new().overview(Overview::new());
    criterion.bench_function("clock", |bencher| {
        bencher.iter(|| black_box(tokio::time::Instant::now()));
    });
    measure(criterion, "bare", Identity::new());
    measure(criterion, "metrics/off", MetricsLayer::new().enabled(false));
    measure(criterion, "metrics/overview", overview());
    let recorder = PrometheusBuilder::new().set_buckets(&[0.001, 0.01, 0.1, 1.0, 10.0]);
    let recorder = recorder.expect("there are buckets").build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        measure(criterion, "metrics/prometheus", MetricsLayer::new());
        handle.run_upkeep();
        measure(criterion, "metrics/both", overview());
        handle.run_upkeep();
    });

    let lines = |format: Format| {
        AccessLogLayer::new().sink(move |entry: &Entry<'_>| {
            let mut line = Vec::with_capacity(512);
            match format {
                Format::Common => entry.to_common(&mut line),
                _ => entry.to_json(&mut line),
            }
            black_box(line);
        })
    };
    measure(criterion, "access_log/off", AccessLogLayer::new().enabled(false));
    measure(
        criterion,
        "access_log/entry",
        AccessLogLayer::new().sink(|entry: &Entry<'_>| {
            black_box(entry.status);
        }),
    );
    measure(criterion, "access_log/json", lines(Format::Json));
    measure(criterion, "access_log/common", lines(Format::Common));
    let writer = Writer::new(Format::Json, io::sink()).expect("a thread");
    measure(
        criterion,
        "access_log/writer",
        AccessLogLayer::new().sink(writer.clone()),
    );
    metrics::with_local_recorder(&recorder, || {
        let log = || AccessLogLayer::new().sink(writer.clone());
        let stack = ServiceBuilder::new().layer(overview()).layer(log());
        measure(criterion, "both/apart", stack);
        let one = ObserveLayer::new().metrics(overview()).access_log(log());
        measure(criterion, "both/together", one);
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(15);
    targets = layers
}
criterion_main!(benches);
