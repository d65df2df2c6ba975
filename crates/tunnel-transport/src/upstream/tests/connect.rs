//! Upgrades over HTTP/2, in front of hyper's server.

use http::{Method, StatusCode};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioTimer;
use tokio::sync::mpsc;
use tunnel_core::upgrade::{Switched, accept_key};

use super::{
    upgrade::{KEY, asking},
    *,
};

/// An HTTP/2 server that takes extended CONNECT, or not; what is upgraded comes out of the channel.
fn http2_origin(offers: bool, status: StatusCode) -> (SocketAddr, mpsc::Receiver<Upgraded>) {
    let (listener, addr) = listen();
    let (sender, receiver) = mpsc::channel(1);
    let handler = move |mut request: Request<Incoming>| {
        let sender = sender.clone();
        async move {
            assert_eq!(request.method(), Method::CONNECT);
            let protocol = request.extensions().get::<hyper::ext::Protocol>();
            assert_eq!(protocol.map(hyper::ext::Protocol::as_str), Some("websocket"));
            assert_eq!(request.uri(), "http://out.example/chat?room=1");
            assert!(!request.headers().contains_key("sec-websocket-key"));
            assert_eq!(request.headers()["sec-websocket-version"], "13");
            let on_upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                if let Ok(upgraded) = on_upgrade.await {
                    let _ = sender.send(upgraded).await;
                }
            });
            let mut response = Response::new(if status == StatusCode::OK {
                body("")
            } else {
                body("no")
            });
            *response.status_mut() = status;
            Ok::<_, BoxError>(response)
        }
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            server.timer(TokioTimer::new());
            if offers {
                server.enable_connect_protocol();
            }
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service_fn(handler.clone())));
        }
    });
    (addr, receiver)
}

#[tokio::test]
async fn http2_switches_by_extended_connect() {
    let (addr, mut streams) = http2_origin(true, StatusCode::OK);
    let upstream = to(addr, UpstreamProtocol::H2c).build().unwrap();
    let (mut sender, request) = asking();
    let response = soon(upstream.oneshot(request)).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert!(response.extensions().get::<Switched>().is_some());
    assert_eq!(response.headers()["upgrade"], "websocket");
    assert_eq!(
        response.headers()["sec-websocket-accept"],
        accept_key(KEY.as_bytes())
    );
    let mut body = response.into_body();

    let mut far = TokioIo::new(soon(streams.recv()).await.unwrap());
    sender.send_data(Bytes::from_static(b"up")).await.unwrap();
    let mut up = [0; 2];
    soon(far.read_exact(&mut up)).await.unwrap();
    drop(sender);
    assert_eq!(soon(far.read(&mut up)).await.unwrap(), 0);
    far.write_all(b"down").await.unwrap();
    assert_eq!(soon(data(&mut body)).await, "down");
    drop(far);
    assert!(soon(body.frame()).await.is_none());
}

#[tokio::test]
async fn http2_without_the_setting_takes_no_upgrade() {
    let (addr, _streams) = http2_origin(false, StatusCode::OK);
    let upstream = to(addr, UpstreamProtocol::H2c).build().unwrap();
    let error = soon(upstream.oneshot(asking().1)).await.unwrap_err();
    assert_eq!((error.cause(), error.sent()), (Cause::BadUpgrade, Sent::No));
}

#[tokio::test]
async fn http2_refuses_with_an_answer_and_never_with_success() {
    let (addr, _streams) = http2_origin(true, StatusCode::FORBIDDEN);
    let upstream = to(addr, UpstreamProtocol::H2c).build().unwrap();
    let response = soon(upstream.oneshot(asking().1)).await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(text(response).await, "no");

    let (addr, _streams) = http2_origin(true, StatusCode::ACCEPTED);
    let upstream = to(addr, UpstreamProtocol::H2c).build().unwrap();
    let error = soon(upstream.oneshot(asking().1)).await.unwrap_err();
    assert_eq!(error.cause(), Cause::BadUpgrade);
}
