//! The layer among others.

use tower::ServiceBuilder;
use tunnel_core::{Routed, Session, Target};

use super::*;
use crate::{
    balance::{BalanceLayer, Lent, RoundRobin},
    concurrency::ConcurrencyLayer,
    deadline::{DeadlineLayer, UploadBody},
    rescue::RescueLayer,
    test_session::{group, session},
    trace_id::TraceIdLayer,
};

fn routed<B>(mut request: Request<B>) -> Request<B> {
    let target = Target::Group("g".parse().expect("a name"));
    request.extensions_mut().insert(Routed::new("all", target));
    request
}

#[tokio::test]
async fn a_request_that_was_not_sent_goes_to_another_session() {
    let tasks = Tasks::default();
    let (service, mut calls) = far::<Lent<UploadBody<Incoming>>>();
    let (one, two) = (session(1, 1), session(2, 1));
    let stack = ServiceBuilder::new()
        .layer(TraceIdLayer::new())
        .layer(RescueLayer::new())
        .map_request(routed)
        .layer(DeadlineLayer::new())
        .layer(BalanceLayer::new(group(&[&one, &two]), RoundRobin::new()))
        .layer(layer(&tasks))
        .service(service);
    let mut client = serve_http1(stack);
    client
        .write_all(&[handshake().as_bytes(), b"early"].concat())
        .await
        .unwrap();
    let first = calls.recv().await.unwrap();
    let tried = first.parts.extensions.get::<Session>().unwrap().id();
    let lost = TunnelError::new(Cause::AgentLost, Initiator::Tunnel, "the agent was lost");
    assert!(
        first
            .answer
            .send(Err(lost.with_sent(tunnel_core::Sent::No)))
            .is_ok()
    );
    let second = calls.recv().await.unwrap();
    assert_ne!(second.parts.extensions.get::<Session>().unwrap().id(), tried);
    let (mut server, mut body) = second.grant(|_| {});
    let head = head(&mut client).await;
    assert!(
        head.starts_with("http/1.1 101 ") && head.contains("\r\nx-trace-id: "),
        "{head}"
    );
    assert_eq!(piece(&mut body).await.unwrap().unwrap(), "early");
    say(&mut server, b"hello").await;
    drop(server);
    assert_eq!(rest(&mut client).await, "hello");
    drop(client);
    assert!(piece(&mut body).await.is_none());
    tasks.done().await;
}

#[tokio::test]
async fn what_rescue_answers_closes_the_connection() {
    let (service, mut calls) = far::<Incoming>();
    let stack = ServiceBuilder::new()
        .layer(RescueLayer::new())
        .layer(layer(&Tasks::default()))
        .service(service);
    let mut client = serve_http1(stack);
    let smuggled = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    client
        .write_all(&[handshake().as_bytes(), smuggled].concat())
        .await
        .unwrap();
    let call = calls.recv().await.unwrap();
    let error = TunnelError::new(Cause::NoAgent, Initiator::Tunnel, "no healthy agent");
    assert!(call.answer.send(Err(error)).is_ok());
    let answer = rest(&mut client).await.to_lowercase();
    assert!(
        answer.starts_with("http/1.1 503 ") && answer.contains("\r\nconnection: close\r\n"),
        "{answer}"
    );
    assert!(calls.try_recv().is_err(), "it was taken for a request");
}

#[tokio::test]
async fn it_is_the_fallback_of_an_axum_app() {
    let tasks = Tasks::default();
    let (service, mut calls) = far::<axum::body::Body>();
    let stack = ServiceBuilder::new()
        .layer(RescueLayer::new())
        .layer(layer(&tasks))
        .service(service);
    let app: axum::Router = axum::Router::new()
        .route("/local", axum::routing::get(async || "local"))
        .fallback_service(stack);
    let mut client = serve_http1(ServiceBuilder::new().map_request(Request::from).service(app));
    client.write_all(handshake().as_bytes()).await.unwrap();
    let (mut server, mut body) = calls.recv().await.unwrap().grant(|_| {});
    assert!(head(&mut client).await.starts_with("http/1.1 101 "));
    client.write_all(b"up").await.unwrap();
    assert_eq!(piece(&mut body).await.unwrap().unwrap(), "up");
    say(&mut server, b"down").await;
    drop(server);
    assert_eq!(rest(&mut client).await, "down");
    drop(client);
    assert!(piece(&mut body).await.is_none());
    tasks.done().await;
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_the_stream_and_its_place_is_free_then() {
    let tasks = Tasks::default();
    let (service, mut calls) = far::<UploadBody<Incoming>>();
    let places = ConcurrencyLayer::new();
    let second = Duration::from_secs(1);
    let stack = ServiceBuilder::new()
        .layer(RescueLayer::new())
        .layer(places.clone())
        .layer(
            DeadlineLayer::new()
                .default_timeout(60 * second)
                // The other times are not for streams.
                .default_head_timeout(second)
                .default_request_idle_timeout(second)
                .default_response_idle_timeout(second),
        )
        .layer(layer(&tasks))
        .service(service);
    let mut client = serve_http1(stack);
    let start = tokio::time::Instant::now();
    client.write_all(handshake().as_bytes()).await.unwrap();
    let (server, mut body) = calls.recv().await.unwrap().grant(|_| {});
    head(&mut client).await;
    let reading = tokio::spawn(async move { piece(&mut body).await });
    let mut close = [0; 4];
    client.read_exact(&mut close).await.unwrap();
    // A Close with 1001.
    assert_eq!(
        (close[0], close[2..].to_vec()),
        (0x88, 1001_u16.to_be_bytes().to_vec())
    );
    assert_eq!(start.elapsed(), 60 * second);
    assert_eq!(places.load().running, 1);
    drop((client, server));
    assert!(!matches!(reading.await.unwrap(), Some(Ok(_))));
    tasks.done().await;
    assert_eq!(places.load().running, 0);
}
