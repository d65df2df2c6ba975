//! Upgrades through a session, to services in the agent's process and to upstreams, over real sockets.

use std::{convert::Infallible, future::poll_fn, time::Duration};

use axum::{
    Extension, Router,
    extract::ws::{CloseFrame, Message as AxumMessage, WebSocket, WebSocketUpgrade},
    response::Response as AxumResponse,
    routing::any,
};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, Method, StatusCode, uri::Scheme};
use http_body_util::{BodyExt as _, Empty, Full, channel::Channel};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    net::TcpListener,
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};
use tunnel_core::{
    Agents as _, BoxError, Protocol, Pump, RequestHead, RequestId, ResponseHead, Session, Start, TunnelBody,
    TunnelError,
    message::RequestStart,
    upgrade::{Relay, StreamClaim, accept_key, split},
};

use super::*;
use crate::{
    Gateway, TunnelTransport, Upstream,
    net::{DEFAULT_BACKLOG, UpgradedIo, bind},
};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// A gateway and an agent, and the gateway's session with it.
pub(super) struct World {
    pub(super) session: Session,
    _tasks: JoinSet<()>,
}

fn listener() -> (TcpListener, std::net::SocketAddr) {
    let listener = bind(([127, 0, 0, 1], 0).into(), DEFAULT_BACKLOG).expect("a port is free");
    let addr = listener.local_addr().expect("bound");
    (listener, addr)
}

pub(super) async fn world(service: impl AgentService + Sync) -> World {
    let (listener, addr) = listener();
    let gateway = Gateway::builder().open_to_any_agent().build();
    let mut tasks = JoinSet::new();
    tasks.spawn(gateway.serve_agents(listener).into_future());
    let agent = Agent::builder(format!("http://{addr}"))
        .group("app")
        .build()
        .unwrap();
    let serve = agent.serve(service);
    tasks.spawn(async move { drop(serve.await) });
    agent.connected().await;
    let members = gateway.agents().members(&"app".parse().unwrap());
    World {
        session: members[0].session.clone(),
        _tasks: tasks,
    }
}

/// No test waits for ever.
pub(super) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), future).await.expect("in time")
}

impl World {
    /// Asks for an upgrade, as the layers of a gateway do.
    async fn ask<B>(&self, protocol: &'static str, body: B) -> Result<(ResponseHead, TunnelBody), TunnelError>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut head = RequestHead {
            method: Method::GET,
            scheme: Scheme::HTTP,
            authority: Some("demo.example".parse().unwrap()),
            path: "/ws".parse().unwrap(),
            headers: http::HeaderMap::new(),
            upgrade: Some(Box::new(HeaderValue::from_static(protocol))),
        };
        head.headers
            .insert("sec-websocket-key", HeaderValue::from_static(KEY));
        head.headers
            .insert("sec-websocket-version", HeaderValue::from_static("13"));
        let upgrade = head.upgrade.clone();
        let (credit, send, mut recv) =
            self.session
                .open(Protocol::of_head(&head), upgrade.as_deref(), true)?;
        let start = Start::Request(Box::new(RequestStart {
            head,
            data: Bytes::new(),
            end: None,
            credit,
            trace_id: None,
        }));
        let pump = Pump::new(start, body, send, TunnelTransport::new());
        self.session.spawn(Box::pin(async move { drop(pump.await) }));
        let head = soon(poll_fn(|cx| recv.poll_head(cx))).await?;
        let body = TunnelBody::new(recv, &head.headers);
        Ok((head, body))
    }

    /// The client's end of an upgraded exchange, and what carries it.
    async fn connect(&self, protocol: &'static str) -> (DuplexStream, tokio::task::JoinHandle<()>) {
        let (near, far) = duplex(1024);
        let (body, writer) = split(UpgradedIo::new(far, Bytes::new(), ()));
        let (head, answer) = self.ask(protocol, body).await.unwrap();
        assert_eq!(head.status, StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(head.upgrade.as_deref().unwrap(), protocol);
        if protocol == "websocket" {
            assert_eq!(head.headers["sec-websocket-accept"], accept_key(KEY.as_bytes()));
        }
        (near, tokio::spawn(Relay::new(answer, writer)))
    }

    async fn websocket(&self) -> (WebSocketStream<DuplexStream>, tokio::task::JoinHandle<()>) {
        let (near, relay) = self.connect("websocket").await;
        (
            WebSocketStream::from_raw_socket(near, Role::Client, None).await,
            relay,
        )
    }

    /// Waits until nothing is open.
    async fn idle(&self) {
        soon(poll_fn(|cx| self.session.poll_idle(cx))).await;
    }
}

/// An app whose sockets do this. What they end with comes out of the channel.
fn app<F, R>(handler: F) -> (Router, mpsc::Receiver<Option<AxumMessage>>)
where
    F: Fn(WebSocket) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Option<AxumMessage>> + Send + 'static,
{
    let (sender, ends) = mpsc::channel(4);
    let upgrade = async move |Extension(_): Extension<RequestId>, upgrade: WebSocketUpgrade| {
        upgrade.on_upgrade(async move |socket| {
            let _ = sender.send(handler(socket).await).await;
        })
    };
    (Router::new().route("/ws", any(upgrade)), ends)
}

/// Sends back what comes, until the end; what the client's Close said.
async fn echo(mut socket: WebSocket) -> Option<AxumMessage> {
    let mut said = None;
    loop {
        match socket.recv().await {
            Some(Ok(message @ (AxumMessage::Text(_) | AxumMessage::Binary(_)))) => {
                socket.send(message).await.ok()?;
            }
            Some(Ok(AxumMessage::Ping(_) | AxumMessage::Pong(_))) => {}
            Some(Ok(close @ AxumMessage::Close(_))) => said = Some(close),
            Some(Err(_)) | None => return said,
        }
    }
}

#[tokio::test]
async fn an_axum_websocket_in_the_agents_process() {
    let (app, mut ends) = app(echo);
    let world = world(app).await;
    let (mut client, relay) = world.websocket().await;
    let large = Bytes::from(vec![7; 300_000]);
    for message in [Message::text("hello"), Message::Binary(large), Message::text("")] {
        soon(client.send(message.clone())).await.unwrap();
        assert_eq!(soon(client.next()).await.unwrap().unwrap(), message);
    }
    client
        .send(Message::Ping(Bytes::from_static(b"?")))
        .await
        .unwrap();
    assert_eq!(
        soon(client.next()).await.unwrap().unwrap(),
        Message::Pong(Bytes::from_static(b"?"))
    );

    soon(client.close(Some(close_frame(4999, "enough"))))
        .await
        .unwrap();
    let end = soon(ends.recv()).await.unwrap().unwrap();
    assert_eq!(
        end,
        AxumMessage::Close(Some(CloseFrame {
            code: 4999,
            reason: "enough".into()
        }))
    );
    assert_eq!(
        soon(client.next()).await.unwrap().unwrap(),
        Message::Close(Some(close_frame(4999, "enough")))
    );
    while soon(client.next()).await.is_some() {}
    drop(client);
    soon(relay).await.unwrap();
    world.idle().await;
}

fn close_frame(code: u16, reason: &'static str) -> tokio_tungstenite::tungstenite::protocol::CloseFrame {
    tokio_tungstenite::tungstenite::protocol::CloseFrame {
        code: code.into(),
        reason: reason.into(),
    }
}

#[tokio::test]
async fn a_client_that_is_lost_ends_the_apps_socket() {
    let (app, mut ends) = app(echo);
    let world = world(app).await;
    let (mut client, relay) = world.websocket().await;
    client.send(Message::text("hello")).await.unwrap();
    soon(client.next()).await.unwrap().unwrap();
    // As when the outside connection breaks: both directions of it are dropped at once.
    relay.abort();
    assert_eq!(soon(ends.recv()).await.unwrap(), None);
    world.idle().await;
}

#[tokio::test]
async fn an_app_that_drops_its_socket_ends_the_stream() {
    let (app, mut ends) = app(async |_| None);
    let world = world(app).await;
    let (mut client, relay) = world.websocket().await;
    assert_eq!(soon(ends.recv()).await.unwrap(), None);
    assert!(soon(client.next()).await.is_none_or(|end| end.is_err()));
    drop(client);
    soon(relay).await.unwrap();
    world.idle().await;
}

#[tokio::test]
async fn an_app_that_refuses_answers_as_it_likes() {
    let refuse = async |_: WebSocketUpgrade| (StatusCode::FORBIDDEN, "not you");
    let world = world(Router::new().route("/ws", any(refuse))).await;
    let (sender, body) = Channel::<Bytes, BoxError>::new(1);
    let (head, body) = world.ask("websocket", body).await.unwrap();
    assert_eq!((head.status, head.upgrade), (StatusCode::FORBIDDEN, None));
    assert_eq!(soon(body.collect()).await.unwrap().to_bytes(), "not you");
    drop(sender);
    world.idle().await;
}

#[tokio::test]
async fn a_service_that_fails_costs_its_exchange() {
    let service =
        tower::service_fn(async |_: ServedRequest| Err::<AxumResponse, _>(BoxError::from("defect")));
    let world = world(service).await;
    let error = world.ask("websocket", Empty::new()).await.unwrap_err();
    assert_eq!(error.message(), "the service failed");
    world.idle().await;
}

/// Reads until the client has ended its direction, and says then what came.
async fn say_what_came(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) {
    let mut came = Vec::new();
    stream.read_to_end(&mut came).await.unwrap();
    stream.write_all(&came).await.unwrap();
    stream.shutdown().await.unwrap();
}

/// The client's side of it.
async fn assert_half_close_passes(world: &World) {
    let (mut client, relay) = world.connect("foo/1").await;
    client.write_all(b"one ").await.unwrap();
    client.write_all(b"two").await.unwrap();
    client.shutdown().await.unwrap();
    let mut said = String::new();
    soon(client.read_to_string(&mut said)).await.unwrap();
    assert_eq!(said, "one two");
    soon(relay).await.unwrap();
    world.idle().await;
}

#[tokio::test]
async fn another_protocol_passes_half_closed_in_process() {
    let service = tower::service_fn(async |mut request: ServedRequest| {
        assert_eq!(request.version(), http::Version::HTTP_11);
        assert_eq!(
            (&request.headers()["connection"], &request.headers()["upgrade"]),
            (&"upgrade".parse().unwrap(), &"foo/1".parse().unwrap())
        );
        let on_upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move { say_what_came(TokioIo::new(on_upgrade.await.unwrap())).await });
        let response = http::Response::builder().status(101).header("upgrade", "foo/1");
        Ok::<_, Infallible>(response.body(Empty::<Bytes>::new()).unwrap())
    });
    assert_half_close_passes(&world(service).await).await;
}

#[tokio::test]
async fn another_protocol_passes_half_closed_to_an_upstream() {
    let (listener, addr) = listener();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let grant = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: foo/1\r\n\r\n";
        stream.write_all(grant).await.unwrap();
        say_what_came(stream).await;
    });
    let upstream = Upstream::http1(format!("http://{addr}")).unwrap();
    assert_half_close_passes(&world(upstream).await).await;
}

#[tokio::test]
async fn a_service_that_claims_the_body_and_grants_by_hypers_contract_is_wrong() {
    let service = tower::service_fn(async |mut request: ServedRequest| {
        StreamClaim::make(request.extensions_mut());
        let mut body = request.into_body();
        let _ = body.frame().await;
        let response = http::Response::builder().status(101).header("upgrade", "foo");
        Ok::<_, Infallible>(response.body(Empty::<Bytes>::new()).unwrap())
    });
    let world = world(service).await;
    let body = Full::new(Bytes::from_static(b"x"));
    let error = world.ask("foo", body).await.unwrap_err();
    assert_eq!(error.cause(), tunnel_core::Cause::BadUpgrade);
}

#[tokio::test]
async fn a_service_that_reads_the_body_first_finds_it_empty() {
    let service = tower::service_fn(async |request: ServedRequest| {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Ok::<_, Infallible>(http::Response::new(Full::new(body)))
    });
    let world = world(service).await;
    let body = Full::new(Bytes::from_static(b"x"));
    let (head, answer) = world.ask("foo", body).await.unwrap();
    assert_eq!(head.status, 200);
    assert!(answer.collect().await.unwrap().to_bytes().is_empty());
}
