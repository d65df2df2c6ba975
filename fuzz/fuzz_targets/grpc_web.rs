#![no_main]

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Collected, Full, StreamBody};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};
use tower::{ServiceExt as _, service_fn};
use tower_layer::Layer as _;
use tunnel_layers::grpc_web::GrpcWebLayer;

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().build().expect("a runtime");
}

// The body comes in two pieces.
fuzz_target!(|input: (bool, u16, &[u8])| {
    let (text, cut, bytes) = input;
    let (first, second) = bytes.split_at(usize::from(cut).min(bytes.len()));
    let pieces = [first, second].map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(piece))));
    let echo = service_fn(|request: Request<_>| async move {
        let body = http_body_util::BodyExt::collect(request.into_body()).await;
        let body = body.map(Collected::to_bytes).unwrap_or_default();
        let answer = Response::builder().header("content-type", "application/grpc");
        Ok::<_, Infallible>(answer.body(Full::new(body)).expect("an answer"))
    });
    let content = if text {
        "application/grpc-web-text"
    } else {
        "application/grpc-web"
    };
    let request = Request::post("/a.B/C")
        .header("host", "a.example")
        .header("content-type", content)
        .body(StreamBody::new(futures_util::stream::iter(pieces)))
        .expect("a request");
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let answer = GrpcWebLayer::new()
                .layer(echo)
                .oneshot(request)
                .await
                .expect("never an error");
            let _ = answer.into_body().collect().await;
        });
    });
});
