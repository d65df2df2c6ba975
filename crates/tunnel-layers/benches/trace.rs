//! What telling traces costs: `cargo bench -p tunnel-layers --all-features --bench trace`.
//!
//! `ids` is `TraceIdLayer` as it always is; `off` has the other layers around it, and nobody listens; `not sampled` and `sampled` have a
//! recorder that drops what it gets.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, ServiceBuilder};
use tunnel_core::trace::{SpanRecord, SpanRecorder};
use tunnel_layers::{
    trace::{HopLayer, StageLayer, Tracer},
    trace_id::TraceIdLayer,
};

type Body = Full<Bytes>;

/// Answers at once.
#[derive(Clone)]
struct Bare;

impl<B> Service<Request<B>> for Bare {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        black_box(request);
        ready(Ok(Response::new(Body::from("content"))))
    }
}

struct Nobody;

impl SpanRecorder for Nobody {
    fn record(&self, span: SpanRecord) {
        black_box(span);
    }
}

/// One request, to the end of its answer's body.
fn exchange<S, RB>(service: &mut S)
where
    S: Service<Request<Body>, Response = Response<RB>, Error = Infallible>,
    RB: http_body::Body<Data = Bytes>,
{
    let request = Request::get("/path").header("host", "example.com");
    let request = request.body(Body::default()).expect("a valid request");
    let mut cx = Context::from_waker(Waker::noop());
    let mut call = std::pin::pin!(service.call(request));
    let Poll::Ready(Ok(answer)) = call.as_mut().poll(&mut cx) else {
        unreachable!("it answers at once");
    };
    let mut body = std::pin::pin!(answer.into_body());
    while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut cx) {
        black_box(frame.is_ok());
    }
}

fn trace(c: &mut Criterion) {
    let ids = TraceIdLayer::new();
    let way = |ids: TraceIdLayer| {
        ServiceBuilder::new()
            .layer(ids)
            .layer(StageLayer::new("route"))
            .layer(StageLayer::new("auth"))
            .layer(StageLayer::new("queue"))
            .layer(HopLayer::tunnel())
            .service(Bare)
    };
    let mut group = c.benchmark_group("trace");
    let mut service = ids.layer(Bare);
    group.bench_function("ids", |b| b.iter(|| exchange(&mut service)));
    let mut service = way(ids.clone());
    group.bench_function("off", |b| b.iter(|| exchange(&mut service)));
    let mut service = way(ids.clone().tracer(Tracer::new(Nobody).sample(0.0)));
    group.bench_function("not sampled", |b| b.iter(|| exchange(&mut service)));
    let mut service = way(ids.tracer(Tracer::new(Nobody)));
    group.bench_function("sampled", |b| b.iter(|| exchange(&mut service)));
    group.finish();
}

criterion_group!(benches, trace);
criterion_main!(benches);
