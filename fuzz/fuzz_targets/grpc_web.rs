#![no_main]

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Collected, Full};
use libfuzzer_sys::fuzz_target;
use tower::{ServiceExt as _, service_fn};
use tower_layer::Layer as _;
use tunnel_layers::grpc_web::GrpcWebLayer;

fuzz_target!(|input: (bool, &[u8])| {
    let (text, bytes) = input;
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let echo = service_fn(|request: Request<_>| async move {
            let body = http_body_util::BodyExt::collect(request.into_body()).await;
            let body = body.map(Collected::to_bytes).unwrap_or_default();
            let answer = Response::builder().header("content-type", "application/grpc");
            Ok::<_, Infallible>(answer.body(Full::new(body)).expect("an answer"))
        });
        let content = if text { "application/grpc-web-text" } else { "application/grpc-web" };
        let request = Request::post("/a.B/C")
            .header("host", "a.example")
            .header("content-type", content)
            .body(Full::new(Bytes::copy_from_slice(bytes)))
            .expect("a request");
        let answer = GrpcWebLayer::new().layer(echo).oneshot(request).await.expect("never an error");
        let _ = answer.into_body().collect().await;
    });
});
