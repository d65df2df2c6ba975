//! Signals: the first lets exchanges finish, the second does not.

use std::{net::SocketAddr, sync::Arc};

use axum::{Router, body::Body, routing::get as on_get};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::{
    net::TcpStream,
    sync::{Notify, Semaphore},
    task::JoinHandle,
};
use tunnel_tests::{
    client::{Client, Version},
    origin::Origin,
    wait::within_limit,
};

use crate::world::{Pair, TO_WEB, get};

/// Gateway and agent with one exchange that is open, at a handler that waits.
struct Open {
    pair: Pair,
    exchange: JoinHandle<hyper::Result<Response<Incoming>>>,
    /// Lets the handler answer.
    release: Arc<Semaphore>,
    _origin: Origin,
}

impl Open {
    async fn new() -> Self {
        let (begun, release) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
        let (entered, gate) = (begun.clone(), release.clone());
        let handler = move || async move {
            entered.notify_one();
            let _ = gate.acquire().await;
            "done"
        };
        let app = Router::new()
            .route("/slow", on_get(handler))
            .route("/quick", on_get(|| async { "quick" }));
        let origin = Origin::http1(app).await;
        let pair = Pair::start(TO_WEB, &format!("{{url: \"{}\"}}", origin.uri())).await;
        let mut client = Client::connect(Version::Http1, pair.gateway.listen).await;
        let exchange = tokio::spawn(async move {
            let request = Request::get("/slow").body(Body::empty()).expect("a request");
            client.send(request).await
        });
        within_limit(begun.notified()).await;
        Self {
            pair,
            exchange,
            release,
            _origin: origin,
        }
    }

    /// Lets the exchange end, and checks that it does so well.
    async fn finish(exchange: JoinHandle<hyper::Result<Response<Incoming>>>, release: &Semaphore) {
        release.add_permits(1);
        let answer = exchange.await.expect("no panic").expect("an answer");
        assert_eq!(answer.status(), 200);
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        assert_eq!(body, "done");
    }
}

#[tokio::test]
async fn a_gateway_lets_exchanges_finish() {
    let open = Open::new().await;
    within_limit(async {
        let gateway = open.pair.gateway;
        gateway.program.signal("TERM");
        refused(gateway.listen).await;
        Open::finish(open.exchange, &open.release).await;
        let ended = gateway.program.ended().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stderr.contains("stopped"), "{ended:?}");
    })
    .await;
}

#[tokio::test]
async fn an_agent_lets_exchanges_finish() {
    let open = Open::new().await;
    within_limit(async {
        let (gateway, agent) = (open.pair.gateway, open.pair.agent);
        agent.signal("INT");
        unserved(gateway.listen).await;
        Open::finish(open.exchange, &open.release).await;
        let ended = agent.ended().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stderr.contains("stopped"), "{ended:?}");
    })
    .await;
}

#[tokio::test]
async fn a_second_signal_ends_a_gateway() {
    let open = Open::new().await;
    within_limit(async {
        let gateway = open.pair.gateway;
        gateway.program.signal("INT");
        refused(gateway.listen).await;
        gateway.program.signal("TERM");
        let ended = gateway.program.ended().await;
        assert_eq!(ended.code, Some(128 + 15), "{ended:?}");
        assert!(open.exchange.await.expect("no panic").is_err());
    })
    .await;
}

#[tokio::test]
async fn a_second_signal_ends_an_agent() {
    let open = Open::new().await;
    within_limit(async {
        let (gateway, agent) = (open.pair.gateway, open.pair.agent);
        agent.signal("TERM");
        unserved(gateway.listen).await;
        agent.signal("INT");
        let ended = agent.ended().await;
        assert_eq!(ended.code, Some(128 + 2), "{ended:?}");
        let answer = open
            .exchange
            .await
            .expect("no panic")
            .expect("the gateway answers");
        assert_eq!(answer.status(), 502);
    })
    .await;
}

/// Waits until nobody listens there any more.
async fn refused(gateway: SocketAddr) {
    while TcpStream::connect(gateway).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

/// Waits until no agent takes new requests.
async fn unserved(gateway: SocketAddr) {
    while get(gateway, "/quick").await.0 != 503 {
        tokio::task::yield_now().await;
    }
}
