//! Head, idle bodies, and what is unlimited.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::{FutureExt, TryFutureExt};
use http::Request;
use http_body_util::{BodyExt, channel::Channel};
use tokio::time::advance;
use tunnel_core::{
    Limit,
    route::{Arrival, Deadline},
};

use super::*;

type Upload = Channel<Bytes, BoxError>;

/// A request whose body is given piece by piece.
fn upload() -> (http_body_util::channel::Sender<Bytes, BoxError>, Request<Upload>) {
    let (sender, body) = Channel::new(8);
    (sender, request("/").map(|_| body))
}

fn with<B>(mut request: Request<B>, timeouts: Timeouts) -> Request<B> {
    request.extensions_mut().insert(of_rule(timeouts));
    request
}

/// Reads the whole request, and only then answers with how much it was.
fn reading()
-> impl Service<Request<UploadBody<Upload>>, Response = Response<String>, Error = BoxError> + Clone {
    service_fn(|request: Request<UploadBody<Upload>>| {
        let read = request.into_body().collect();
        read.map_ok(|whole| Response::new(whole.to_bytes().len().to_string()))
    })
}

#[tokio::test(start_paused = true)]
async fn the_head_has_its_own_time() {
    let start = Instant::now();
    let service = layer()
        .default_head_timeout(SECOND / 2)
        .layer(silent(Arc::default()));
    let answer = service.oneshot(request("/")).await.unwrap();
    assert_eq!((answer.status().as_u16(), start.elapsed()), (504, SECOND / 2));

    // The body does not count.
    let body = Scripted::new([Step::Data("one"), Step::Hang]);
    let service = DeadlineLayer::new()
        .default_head_timeout(SECOND)
        .layer(streaming(body));
    let mut body = Box::pin(service.oneshot(request("/")).await.unwrap().into_body());
    body.frame().await.unwrap().unwrap();
    advance(100 * SECOND).await;
    assert!(body.frame().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn an_upload_is_not_counted_as_time_for_the_head() {
    let (mut sender, request) = upload();
    let service = DeadlineLayer::new().default_head_timeout(SECOND).layer(reading());
    let start = Instant::now();
    let call = service.oneshot(request);
    let feed = async {
        for _ in 0..5 {
            tokio::time::sleep(SECOND * 3 / 4).await;
            sender.send_data(Bytes::from_static(b"x")).await.unwrap();
        }
        // And then nothing: the server, who waits for more, gets the blame.
        std::future::pending::<Infallible>().await
    };
    let answer = tokio::select! { answer = call => answer.unwrap(), never = feed => match never {} };
    assert_eq!(answer.status(), 504);
    assert_eq!(start.elapsed(), SECOND * 15 / 4 + SECOND);
}

#[tokio::test(start_paused = true)]
async fn an_idle_request_is_answered_and_its_call_is_dropped() {
    let layer = DeadlineLayer::new().default_request_idle_timeout(SECOND);
    let (mut sender, request) = upload();
    let start = Instant::now();
    let call = layer.layer(reading()).oneshot(request);
    let feed = async {
        for _ in 0..3 {
            tokio::time::sleep(SECOND / 2).await;
            sender.send_data(Bytes::from_static(b"x")).await.unwrap();
        }
        std::future::pending::<Infallible>().await
    };
    let answer = tokio::select! { answer = call => answer.unwrap(), never = feed => match never {} };
    assert_eq!(answer.status(), 408);
    assert_eq!(answer.headers()["x-tunnel-error"], "body-idle");
    assert_eq!(start.elapsed(), SECOND * 5 / 2);

    let (_sender, mut request) = upload();
    request.headers_mut().insert("content-type", grpc());
    let answer = layer.layer(reading()).oneshot(request).await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], "4");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_read_elsewhere_ends_its_exchange_too() {
    // As the tunnel does it: a task reads the body, the call waits for the far end.
    let service = service_fn(|request: Request<UploadBody<Upload>>| {
        tokio::spawn(request.into_body().collect());
        std::future::pending::<Result<Response<String>, Infallible>>()
    });
    let (_sender, request) = upload();
    let layer = DeadlineLayer::new().default_request_idle_timeout(SECOND);
    let answer = layer.layer(service).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 408);
}

#[tokio::test(start_paused = true)]
async fn after_the_head_an_idle_request_ends_the_response() {
    let service = service_fn(|mut request: Request<UploadBody<Upload>>| {
        let mut response = Response::new(Scripted::new([Step::Hang]));
        if let Some(kind) = request.headers_mut().remove("content-type") {
            response.headers_mut().insert("content-type", kind);
        }
        tokio::spawn(request.into_body().collect());
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let service = DeadlineLayer::new()
        .default_request_idle_timeout(SECOND)
        .layer(service);
    let (_sender, request) = upload();
    let mut body = Box::pin(service.oneshot(request).await.unwrap().into_body());
    let error = body.frame().await.unwrap().unwrap_err();
    let cause = TunnelError::find(&*error).map(TunnelError::cause);
    assert_eq!(cause, Some(Cause::BodyIdle));

    let (_sender, mut request) = upload();
    request.headers_mut().insert("content-type", grpc());
    let mut body = Box::pin(service.oneshot(request).await.unwrap().into_body());
    let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(trailers["x-tunnel-error"], "body-idle");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_does_not_ask_is_not_waited_for() {
    let (mut sender, request) = upload();
    let service = service_fn(|request: Request<UploadBody<Upload>>| async move {
        let mut body = request.into_body();
        tokio::time::sleep(10 * SECOND).await;
        let first = body.frame().await.unwrap()?.into_data().unwrap();
        Ok::<_, BoxError>(Response::new(String::from_utf8(first.into()).unwrap()))
    });
    sender.send_data(Bytes::from_static(b"here")).await.unwrap();
    let layer = DeadlineLayer::new().default_request_idle_timeout(SECOND);
    let answer = layer.layer(service).oneshot(request).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "here");
}

#[tokio::test(start_paused = true)]
async fn an_idle_response_breaks() {
    let body = Scripted::new([Step::Data("one"), Step::Hang]);
    let layer = DeadlineLayer::new().default_response_idle_timeout(SECOND);
    let mut body = Box::pin(
        layer
            .layer(streaming(body))
            .oneshot(request("/"))
            .await
            .unwrap()
            .into_body(),
    );
    body.frame().await.unwrap().unwrap();
    // Nobody asks, so nobody waits.
    advance(10 * SECOND).await;
    let start = Instant::now();
    let error = body.frame().await.unwrap().unwrap_err();
    let cause = TunnelError::find(&*error).map(TunnelError::cause);
    assert_eq!((cause, start.elapsed()), (Some(Cause::Deadline), SECOND));
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_rule_may_ask_for_no_limit() {
    let layer = layer()
        .default_head_timeout(SECOND)
        .default_request_idle_timeout(SECOND)
        .default_response_idle_timeout(SECOND);
    let no_limit = Some(Limit::Unlimited);
    let timeouts = Timeouts {
        whole: no_limit,
        head: no_limit,
        request_idle: no_limit,
        response_idle: no_limit,
    };
    let mut call = Box::pin(
        layer
            .layer(silent(Arc::default()))
            .oneshot(with(request("/"), timeouts)),
    );
    assert!(call.as_mut().now_or_never().is_none());
    advance(1_000 * SECOND).await;
    assert!(call.now_or_never().is_none());

    // What the rule says nothing about has its default.
    let timeouts = Timeouts {
        whole: no_limit,
        ..Timeouts::default()
    };
    let start = Instant::now();
    let answer = layer
        .layer(silent(Arc::default()))
        .oneshot(with(request("/"), timeouts))
        .await;
    assert_eq!(
        (answer.unwrap().status().as_u16(), start.elapsed()),
        (504, SECOND)
    );

    // A caller's own limit holds.
    let mut call = call_with_rule("2S", timeouts);
    call.headers_mut()
        .insert("te", http::HeaderValue::from_static("trailers"));
    let start = Instant::now();
    let layer = DeadlineLayer::new().default_timeout(SECOND);
    layer.layer(silent(Arc::default())).oneshot(call).await.unwrap();
    assert_eq!(start.elapsed(), 2 * SECOND);
}

fn call_with_rule(asked: &'static str, timeouts: Timeouts) -> Request<Scripted> {
    with(call(Some(asked), None), timeouts)
}

#[tokio::test(start_paused = true)]
async fn the_end_is_told_to_whoever_carries_an_upgraded_stream() {
    let seeing = || {
        service_fn(|request: Request<_>| {
            let end = request.extensions().get::<Deadline>().copied();
            let _: &UploadBody<_> = request.body();
            std::future::ready(Ok::<_, Infallible>(Response::new(end.map_or_else(
                String::new,
                |Deadline(end)| {
                    let left = Instant::from_std(end).saturating_duration_since(Instant::now());
                    left.as_millis().to_string()
                },
            ))))
        })
    };
    let told = async |layer: DeadlineLayer, outer: Option<Deadline>| {
        let mut request = request("/");
        request
            .extensions_mut()
            .insert(Arrival(Instant::now().into_std()));
        if let Some(outer) = outer {
            request.extensions_mut().insert(outer);
        }
        let answer = layer.layer(seeing()).oneshot(request).await.unwrap();
        answer.into_body().collect().await.unwrap().to_bytes()
    };
    assert_eq!(told(layer(), None).await, "1000");
    assert_eq!(told(DeadlineLayer::new(), None).await, "");
    let earlier = Deadline((Instant::now() + SECOND / 4).into_std());
    assert_eq!(told(layer(), Some(earlier)).await, "250");
}
