use std::{
    pin::Pin,
    sync::atomic::AtomicBool,
    task::{Context, Poll},
};

use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::{Body, Frame, SizeHint};

use super::*;

#[tokio::test]
async fn the_head_comes_out_as_it_went_in() {
    for protocol in BOTH {
        let origin = Origin::start(|request: Request<Incoming>| async move {
            let authority = match request.uri().authority() {
                Some(authority) => authority.to_string(),
                None => request.headers()["host"].to_str()?.to_owned(),
            };
            let cookies: Vec<_> = request.headers().get_all("x-many").iter().collect();
            assert_eq!(cookies, ["b", "a"]);
            assert_eq!(request.headers()["x-bytes"].as_bytes(), b"\xe4\xf6");
            let mut response = Response::new(body(format!(
                "{authority} {}",
                request.uri().path_and_query().unwrap()
            )));
            for value in ["1", "2", "3"] {
                response
                    .headers_mut()
                    .append("set-cookie", HeaderValue::from_static(value));
            }
            Ok(response)
        });
        let mut request = Request::get("https://out.example:8443/a%2Fb/../c?d=%20&d")
            .header("x-many", "b")
            .header("x-many", "a")
            .header("x-bytes", HeaderValue::from_bytes(b"\xe4\xf6").unwrap())
            .body(Empty::<Bytes>::new())
            .unwrap();
        request
            .headers_mut()
            .insert("host", HeaderValue::from_static("out.example:8443"));
        let response = soon(origin.upstream(protocol).oneshot(request)).await.unwrap();
        let cookies: Vec<_> = response.headers().get_all("set-cookie").iter().collect();
        assert_eq!(cookies, ["1", "2", "3"]);
        assert_eq!(text(response).await, "out.example:8443 /a%2Fb/../c?d=%20&d");
    }
}

/// What an HTTP/1.1 upstream sees of this request, until the end of its head.
async fn on_the_wire<B>(request: Request<B>) -> String
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (listener, addr) = listen();
    let exchange = to(addr, UpstreamProtocol::Http1)
        .build()
        .unwrap()
        .oneshot(request);
    let _exchange = tokio::spawn(async move { exchange.await.map(drop) });
    let (mut stream, _) = soon(listener.accept()).await.unwrap();
    soon(head(&mut stream)).await
}

#[tokio::test]
async fn framing_on_http1() {
    let head = on_the_wire(get()).await;
    assert_eq!(head, "GET /path?query HTTP/1.1\r\nhost: out.example\r\n\r\n");

    let mut empty = post(body(""));
    empty
        .headers_mut()
        .insert("content-length", HeaderValue::from_static("0"));
    let head = on_the_wire(empty).await;
    assert!(
        head.contains("content-length: 0\r\n") && !head.contains("transfer-encoding"),
        "{head}"
    );

    let (_sender, upload) = streamed();
    let mut get = post(upload);
    *get.method_mut() = http::Method::GET;
    let head = on_the_wire(get).await;
    assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");

    let (_sender, upload) = streamed();
    let mut known = post(upload);
    known
        .headers_mut()
        .insert("content-length", HeaderValue::from_static("7"));
    let head = on_the_wire(known).await;
    assert!(
        head.contains("content-length: 7\r\n") && !head.contains("transfer-encoding"),
        "{head}"
    );

    let head = on_the_wire(Request::options("*").body(body("")).unwrap()).await;
    assert!(head.starts_with("OPTIONS * HTTP/1.1\r\n"), "{head}");
}

#[tokio::test]
async fn head_and_no_content_keep_their_fields() {
    for protocol in BOTH {
        let origin = Origin::start(|request: Request<Incoming>| async move {
            let mut response = Response::new(body(""));
            match request.method().as_str() {
                "HEAD" => {
                    let length = HeaderValue::from_static("12345");
                    response.headers_mut().insert("content-length", length);
                }
                _ => *response.status_mut() = StatusCode::NOT_MODIFIED,
            }
            Ok(response)
        });
        let upstream = origin.upstream(protocol);
        for _ in 0..2 {
            let mut request = get();
            *request.method_mut() = http::Method::HEAD;
            let response = soon(upstream.clone().oneshot(request)).await.unwrap();
            assert_eq!(response.headers()["content-length"], "12345");
            assert_eq!(text(response).await, "");
            settle().await;
            let response = soon(upstream.clone().oneshot(get())).await.unwrap();
            assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
            drop(response);
            settle().await;
        }
        assert_eq!(origin.accepted(), 1, "{protocol:?}");
    }
}

#[tokio::test]
async fn upload_and_download_flow_at_the_same_time() {
    for protocol in BOTH {
        let origin = Origin::start(|request: Request<Incoming>| async move {
            Ok(Response::new(
                request.into_body().map_err(Into::into).boxed_unsync(),
            ))
        });
        let (mut sender, upload) = streamed();
        let exchange = tokio::spawn(origin.upstream(protocol).oneshot(post(upload)));
        sender.send_data(Bytes::from_static(b"first")).await.unwrap();
        let mut response = soon(exchange).await.unwrap().unwrap().into_body();
        assert_eq!(soon(data(&mut response)).await, "first");
        for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
            sender.send_data(Bytes::from(event)).await.unwrap();
            assert_eq!(soon(data(&mut response)).await, event);
        }
        drop(sender);
        assert!(soon(response.frame()).await.is_none());
    }
}

#[tokio::test]
async fn an_upload_goes_on_after_the_response() {
    // Not in HTTP/2: there hyper's server resets a request that still comes when its response has ended.
    let (received, mut receiver) = tokio::sync::mpsc::channel(1);
    let origin = Origin::start(move |request: Request<Incoming>| {
        let received = received.clone();
        async move {
            tokio::spawn(async move {
                let bytes = request.into_body().collect().await.map(|body| body.to_bytes());
                received.send(bytes.ok()).await
            });
            Ok(Response::new(body("ok")))
        }
    });
    let upstream = origin.upstream(UpstreamProtocol::Http1);
    let (mut sender, upload) = streamed();
    let response = soon(upstream.clone().oneshot(post(upload))).await.unwrap();
    assert_eq!(text(response).await, "ok");
    for _ in 0..3 {
        sender.send_data(Bytes::from_static(b"abc")).await.unwrap();
    }
    drop(sender);
    assert_eq!(soon(receiver.recv()).await.unwrap().unwrap(), "abcabcabc");
    settle().await;
    text(soon(upstream.oneshot(get())).await.unwrap()).await;
    assert_eq!(origin.accepted(), 1);
}

#[tokio::test]
async fn trailers_in_both_directions() {
    for protocol in BOTH {
        let origin = Origin::start(|request: Request<Incoming>| async move {
            let te = request.headers()["te"].clone();
            assert_eq!(te, "trailers");
            let collected = request.into_body().collect().await?;
            let trailers = collected.trailers().cloned().expect("request trailers");
            let (mut sender, body) = streamed();
            tokio::spawn(async move {
                sender.send_data(collected.to_bytes()).await?;
                sender.send_trailers(trailers).await
            });
            Ok(Response::builder().header("trailer", "x-sum").body(body)?)
        });
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("7"));
        let (mut sender, upload) = streamed();
        let mut request = post(upload);
        request
            .headers_mut()
            .insert("te", HeaderValue::from_static("trailers"));
        request
            .headers_mut()
            .insert("trailer", HeaderValue::from_static("x-sum"));
        let exchange = tokio::spawn(origin.upstream(protocol).oneshot(request));
        sender.send_data(Bytes::from_static(b"abc")).await.unwrap();
        sender.send_trailers(trailers.clone()).await.unwrap();
        drop(sender);
        let response = soon(exchange).await.unwrap().unwrap();
        assert_eq!(response.headers()["trailer"], "x-sum");
        let collected = soon(response.into_body().collect()).await.unwrap();
        assert_eq!(collected.trailers(), Some(&trailers), "{protocol:?}");
        assert_eq!(collected.to_bytes(), "abc");
    }
}

/// Tells whether it was ever polled.
struct Watched(Arc<AtomicBool>, TestBody);

impl Body for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.store(true, Ordering::SeqCst);
        Pin::new(&mut self.1).poll_frame(cx)
    }

    fn size_hint(&self) -> SizeHint {
        self.1.size_hint()
    }
}

fn expecting(
    patience: Duration,
    addr: SocketAddr,
) -> (
    Arc<AtomicBool>,
    impl Future<Output = Result<Response<UpstreamBody>, TunnelError>>,
) {
    let polled = Arc::new(AtomicBool::new(false));
    let request = Request::post("http://out.example/")
        .header("expect", "100-continue")
        .body(Watched(Arc::clone(&polled), body("hello")))
        .unwrap();
    let upstream = to(addr, UpstreamProtocol::Http1)
        .continue_timeout(patience)
        .build()
        .unwrap();
    (polled, upstream.oneshot(request))
}

#[tokio::test]
async fn a_body_waits_for_the_100() {
    let (listener, addr) = listen();
    let (polled, exchange) = expecting(Duration::from_secs(60), addr);
    let exchange = tokio::spawn(exchange);
    let (mut stream, _) = listener.accept().await.unwrap();
    assert!(head(&mut stream).await.contains("expect: 100-continue\r\n"));
    settle().await;
    assert!(!polled.load(Ordering::SeqCst));
    stream
        .write_all(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
        .await
        .unwrap();
    let mut received = [0; 5];
    soon(stream.read_exact(&mut received)).await.unwrap();
    assert_eq!(&received, b"hello");
    stream
        .write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(
        soon(exchange).await.unwrap().unwrap().status(),
        StatusCode::CREATED
    );
}

#[tokio::test]
async fn a_refusal_comes_without_the_body_and_closes_the_connection() {
    let (listener, addr) = listen();
    let (polled, exchange) = expecting(Duration::from_secs(60), addr);
    let exchange = tokio::spawn(exchange);
    let (mut stream, _) = listener.accept().await.unwrap();
    head(&mut stream).await;
    stream
        .write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 9\r\n\r\ntoo ")
        .await
        .unwrap();
    let mut response = soon(exchange).await.unwrap().unwrap().into_body();
    assert_eq!(data(&mut response).await, "too ");
    stream.write_all(b"large").await.unwrap();
    assert_eq!(soon(data(&mut response)).await, "large");
    let mut rest = Vec::new();
    soon(stream.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.is_empty() && !polled.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_silent_upstream_gets_the_body_in_the_end() {
    let (listener, addr) = listen();
    let (_, exchange) = expecting(Duration::from_millis(10), addr);
    let _exchange = tokio::spawn(exchange);
    let (mut stream, _) = listener.accept().await.unwrap();
    head(&mut stream).await;
    let mut received = [0; 5];
    soon(stream.read_exact(&mut received)).await.unwrap();
    assert_eq!(&received, b"hello");
}

/// So many frames of 16 KiB; counts those that were taken.
struct Large(usize, Arc<AtomicUsize>);

const FRAME: usize = 16 * 1024;

impl Body for Large {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.0 == 0 {
            return Poll::Ready(None);
        }
        self.0 -= 1;
        self.1.fetch_add(FRAME, Ordering::SeqCst);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; FRAME])))))
    }
}

#[tokio::test]
async fn a_slow_reader_stores_little() {
    /// Far more than windows and buffers of hyper and of the kernel hold together, and far less than the body.
    const BOUND: usize = 24 * 1024 * 1024;
    const FRAMES: usize = 4 * BOUND / FRAME;
    for protocol in BOTH {
        let produced = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&produced);
        let origin = Origin::start(move |_| {
            let large = Large(FRAMES, Arc::clone(&counter));
            async move { Ok(Response::new(large.boxed_unsync())) }
        });
        let mut body = soon(origin.upstream(protocol).oneshot(get()))
            .await
            .unwrap()
            .into_body();
        let mut consumed = 0;
        while let Some(frame) = soon(body.frame()).await {
            consumed += frame.unwrap().into_data().unwrap().len();
            // The producer runs whenever it can before the next frame is taken.
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
            assert!(produced.load(Ordering::SeqCst) - consumed < BOUND, "{protocol:?}");
        }
        assert_eq!(consumed, FRAMES * FRAME);
    }
}
