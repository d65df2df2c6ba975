//! The layers around an upgrade: rules, limits, deadlines, and the tunnel as a part of somebody's own app.

use std::{future::IntoFuture as _, net::SocketAddr, time::Duration};

use axum::{Router, routing::get};
use http::StatusCode;
use tokio::{sync::mpsc, task::JoinSet};
use tunnel_core::Settings;
use tunnel_layers::route::{Rule, RuleProtocol};
use tunnel_tests::{
    body,
    client::{Client, Version},
    tunnel::{GROUP, Tunnel, TunnelBuilder, address, group, listener, stack},
    wait::{eventually, within_limit},
    websocket::{self, Arrived, Frame, H2Client, Peer, handshake, opcode, open},
};

use crate::world::carry_both;

const VERSIONS: [Version; 2] = [Version::Http1, Version::Http2];

/// A tunnel to an app of which the test has the other end.
async fn tunnel(builder: TunnelBuilder, settings: Settings) -> (Tunnel, mpsc::Receiver<Arrived>) {
    let (sender, arrivals) = mpsc::channel(16);
    let mut tunnel = builder.start().await;
    let agent = tunnel.agent(GROUP).settings(settings);
    tunnel.run_agent(agent, websocket::app(sender)).await;
    (tunnel, arrivals)
}

/// Both ends of a WebSocket for this path.
async fn pair(
    version: Version,
    addr: SocketAddr,
    path: &str,
    arrivals: &mut mpsc::Receiver<Arrived>,
) -> (Peer, Peer) {
    let server = async {
        let arrived = arrivals.recv().await.expect("a handshake");
        assert_eq!(arrived.request.uri().path(), path);
        arrived.accept().await
    };
    let (client, server) = tokio::join!(open(version, addr, handshake(path)), server);
    (client.upgraded().1, server)
}

/// An app with a route of its own, and the tunnel for everything else.
fn with_fallback(tunnel: &Tunnel) -> Router {
    let rules = vec![Rule::group("all", group(GROUP))];
    Router::new()
        .route("/healthz", get(async || "ok"))
        .fallback_service(stack(&tunnel.gateway, rules))
}

async fn check(version: Version, addr: SocketAddr, arrivals: &mut mpsc::Receiver<Arrived>) {
    let mut client = Client::connect(version, addr).await;
    assert_eq!(body::whole(client.get("/healthz").await).await, "ok");
    let (mut client, mut server) = pair(version, addr, "/socket", arrivals).await;
    carry_both(&mut client, &mut server, &Frame::text("through somebody's app")).await;
}

#[tokio::test]
async fn the_fallback_of_an_app_that_the_gateway_serves() {
    within_limit(async {
        let (tunnel, mut arrivals) = tunnel(Tunnel::builder(), Settings::default()).await;
        let listener = listener().await;
        let addr = address(&listener);
        let mut tasks = JoinSet::new();
        let serve = tunnel.gateway.serve(listener, with_fallback(&tunnel));
        tasks.spawn(serve.into_future());
        for version in VERSIONS {
            check(version, addr, &mut arrivals).await;
        }
        tunnel.settled().await;
    })
    .await;
}

/// axum's own server does not offer extended CONNECT.
#[tokio::test]
async fn the_fallback_of_an_app_that_axum_serves() {
    within_limit(async {
        let (tunnel, mut arrivals) = tunnel(Tunnel::builder(), Settings::default()).await;
        let listener = listener().await;
        let addr = address(&listener);
        let app = with_fallback(&tunnel).into_make_service_with_connect_info::<SocketAddr>();
        let mut tasks = JoinSet::new();
        tasks.spawn(axum::serve(listener, app).into_future());
        check(Version::Http1, addr, &mut arrivals).await;
        tunnel.settled().await;
    })
    .await;
}

#[tokio::test]
async fn a_rule_for_websocket_takes_nothing_else() {
    within_limit(async {
        let rules = [
            Rule::group("sockets", group("sockets")).protocol(RuleProtocol::WebSocket),
            Rule::group("rest", group(GROUP)),
        ];
        let builder = Tunnel::builder().rules(rules);
        let (mut tunnel, mut rest) = tunnel(builder, Settings::default()).await;
        let (sender, mut sockets) = mpsc::channel(16);
        tunnel.add_agent("sockets", websocket::app(sender)).await;
        for version in VERSIONS {
            let (mut client, mut server) = pair(version, tunnel.addr, "/", &mut sockets).await;
            carry_both(&mut client, &mut server, &Frame::text("by its rule")).await;
            let mut client = Client::connect(version, tunnel.addr).await;
            let server = async {
                let arrived = rest.recv().await.expect("a request");
                arrived.refuse(StatusCode::OK, "a page").await;
            };
            let (answer, ()) = tokio::join!(client.get("/"), server);
            assert_eq!(body::whole(answer).await, "a page");
        }
        tunnel.settled().await;
    })
    .await;
}

#[tokio::test]
async fn an_open_websocket_counts_as_long_as_it_lives() {
    within_limit(async {
        let settings = Settings {
            max_exchanges: 2,
            ..Settings::default()
        };
        let (tunnel, mut arrivals) = tunnel(Tunnel::builder(), settings).await;
        for version in VERSIONS {
            let first = pair(version, tunnel.addr, "/", &mut arrivals).await;
            let second = pair(version, tunnel.addr, "/", &mut arrivals).await;
            let refused = open(version, tunnel.addr, handshake("/")).await.refused();
            assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
            drop(first);
            let session = &tunnel.sessions(GROUP)[0];
            eventually(|| session.has_room()).await;
            let (mut client, mut server) = pair(version, tunnel.addr, "/", &mut arrivals).await;
            carry_both(&mut client, &mut server, &Frame::text("in its place")).await;
            drop((second, client, server));
            tunnel.settled().await;
        }
    })
    .await;
}

/// The time of the head ends with it: that of a later request passes, and the older WebSocket lives on.
#[tokio::test]
async fn the_time_of_an_answer_ends_with_it() {
    within_limit(async {
        let rule = Rule::group("all", group(GROUP)).head_timeout(Duration::from_secs(1));
        let builder = Tunnel::builder().rules([rule]);
        let (tunnel, mut arrivals) = tunnel(builder, Settings::default()).await;
        for version in VERSIONS {
            let (mut client, mut server) = pair(version, tunnel.addr, "/", &mut arrivals).await;
            let late = open(version, tunnel.addr, handshake("/late"));
            let waiting = async {
                let mut arrived = arrivals.recv().await.expect("a handshake");
                arrived.abandoned().await;
            };
            let (late, ()) = tokio::join!(late, waiting);
            assert_eq!(late.refused().status(), StatusCode::GATEWAY_TIMEOUT);
            carry_both(&mut client, &mut server, &Frame::text("still here")).await;
        }
        tunnel.settled().await;
    })
    .await;
}

#[tokio::test]
async fn the_time_of_the_whole_ends_the_websocket() {
    within_limit(async {
        let rule = Rule::group("all", group(GROUP)).timeout(Duration::from_secs(1));
        let builder = Tunnel::builder().rules([rule]);
        let (tunnel, mut arrivals) = tunnel(builder, Settings::default()).await;
        for version in VERSIONS {
            let (mut client, mut server) = pair(version, tunnel.addr, "/", &mut arrivals).await;
            let close = client.recv().await;
            assert_eq!(close.code(), Some(1001), "{close:?}");
            client.send(&Frame::new(opcode::CLOSE, close.payload)).await;
            assert_eq!(server.recv().await.code(), Some(1001));
            drop((client, server));
            tunnel.settled().await;
        }
    })
    .await;
}

#[tokio::test]
async fn refusals_and_websockets_share_a_connection_of_http2() {
    within_limit(async {
        let (tunnel, mut arrivals) = tunnel(Tunnel::builder(), Settings::default()).await;
        let connection = H2Client::connect(tunnel.addr).await;
        let mut pairs = Vec::new();
        for _ in 0..20 {
            let server = async { arrivals.recv().await.expect("a handshake").accept().await };
            let (client, server) = tokio::join!(connection.open(handshake("/")), server);
            pairs.push((client.upgraded().1, server));
            let refused = async {
                let arrived = arrivals.recv().await.expect("a handshake");
                arrived.refuse(StatusCode::NOT_FOUND, "no such room").await
            };
            let (client, _) = tokio::join!(connection.open(handshake("/")), refused);
            assert_eq!(client.refused().body(), "no such room");
        }
        for (client, server) in &mut pairs {
            carry_both(client, server, &Frame::text("side by side")).await;
        }
        drop((pairs, connection));
        tunnel.settled().await;
    })
    .await;
}
