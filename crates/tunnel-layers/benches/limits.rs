//! What the limiting layers cost for a request that they let through, beside the bare service: `cargo bench -p tunnel-layers
//! --all-features`.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, layer::util::Identity};
use tunnel_core::{Limits, PeerInfo, Routed, Target, admit, limits::Rate};
use tunnel_layers::{
    concurrency::ConcurrencyLayer,
    deadline::DeadlineLayer,
    key::{ByAddress, Everyone},
    rate_limit::RateLimitLayer,
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
        ready(Ok(Response::new(Body::default())))
    }
}

/// A request that has been admitted and routed, so that the layers' own work is left.
fn request(limits: Option<Limits>) -> Request<Body> {
    let request = Request::post("/path").header("host", "example.com");
    let request = request.body(Body::from("content")).expect("a valid request");
    let (mut parts, body) = request.into_parts();
    let peer = "192.0.2.1:1".parse().expect("an address");
    parts.extensions.insert(PeerInfo::plaintext(peer));
    admit::ensure(&mut parts).expect("it is admitted");
    let target = Target::Group("app".parse().expect("a name"));
    let mut routed = Routed::new("rule", target);
    routed.limits = limits.map(Arc::new);
    parts.extensions.insert(routed);
    Request::from_parts(parts, body)
}

fn measure<L, S, RB>(criterion: &mut Criterion, name: &str, layer: L, request: &Request<Body>)
where
    L: Layer<Bare, Service = S>,
    S: Service<Request<Body>, Response = Response<RB>, Error = Infallible>,
{
    let mut service = layer.layer(Bare);
    let mut cx = Context::from_waker(Waker::noop());
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            let _ = black_box(service.poll_ready(&mut cx));
            let mut call = std::pin::pin!(service.call(request.clone()));
            let Poll::Ready(Ok(answer)) = call.as_mut().poll(&mut cx) else {
                panic!("the service answers at once");
            };
            assert_eq!(answer.status(), 200);
        });
    });
}

fn layers(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime without I/O");
    let _context = runtime.enter();
    let plain = request(None);
    // More than any machine asks for.
    let rate = Rate::per_second(u32::MAX);
    let own = Limits::new().rate("default", rate).concurrency("default", 1_000);
    let ruled = request(Some(own));
    let minute = Duration::from_secs(60);

    measure(criterion, "bare", Identity::new(), &plain);
    measure(
        criterion,
        "rate_limit/all",
        RateLimitLayer::new(rate).key(Everyone),
        &plain,
    );
    let by_address = RateLimitLayer::new(rate).key(ByAddress::new());
    measure(criterion, "rate_limit/address", by_address.clone(), &plain);
    measure(criterion, "rate_limit/rule", by_address.clone(), &ruled);
    measure(
        criterion,
        "rate_limit/tell_always",
        by_address.tell_always(true),
        &plain,
    );
    measure(criterion, "concurrency/all", ConcurrencyLayer::new(), &plain);
    let by_address = ConcurrencyLayer::new().per_key(ByAddress::new(), 1_000);
    measure(criterion, "concurrency/address", by_address.clone(), &plain);
    measure(criterion, "concurrency/rule", by_address, &ruled);
    measure(criterion, "deadline/none", DeadlineLayer::new(), &plain);
    let whole = DeadlineLayer::new().default_timeout(minute);
    measure(criterion, "deadline/whole", whole, &plain);
    let each = whole
        .default_head_timeout(minute)
        .default_request_idle_timeout(minute)
        .default_response_idle_timeout(minute);
    measure(criterion, "deadline/each", each, &plain);
}

criterion_group!(benches, layers);
criterion_main!(benches);
