//! However an exchange ends, it is counted once.

use super::*;

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
