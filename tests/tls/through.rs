//! TLS on every connection of a tunnel: outside client, entry, agent, upstream.

use axum::{
    Router,
    extract::{Request, WebSocketUpgrade, ws},
    response::Response,
    routing::{any, post},
};
use futures_util::{SinkExt as _, StreamExt as _};
use http::Version;
use http_body_util::BodyExt as _;
use tokio::task::JoinSet;
use tokio_tungstenite::{client_async, tungstenite::Message};
use tunnel_layers::route::Rule;
use tunnel_tests::{
    pki::{Ca, HttpsClient, TlsClient},
    tunnel::{GROUP, address, group, listener, stack},
    wait::within_limit,
};
use tunnel_transport::{
    Agent, Gateway, Upstream,
    entry::Entry,
    tls::{ClientTls, ServerTls},
};

use crate::world::Port;

async fn talk(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |mut socket| {
        while let Some(Ok(message)) = socket.recv().await {
            let is_text = matches!(message, ws::Message::Text(_));
            if is_text && socket.send(message).await.is_err() {
                break;
            }
        }
    })
}

/// What an upstream with TLS serves, through a gateway whose ports have TLS.
struct Through {
    ca: Ca,
    port: Port,
    _upstream: Port,
    _tasks: JoinSet<()>,
}

impl Through {
    async fn new() -> Self {
        let ca = Ca::new("test");
        let server = |name| ServerTls::builder().certificate(ca.server(&[name]).identity());
        let app = Router::new()
            .route("/echo", post(async |request: Request| request.into_body()))
            .route("/talk", any(talk));
        let tls = server("127.0.0.1").build().expect("certificates");
        let upstream_port = Port::open(Entry::new().tls(tls), app).await;
        let upstream = Upstream::builder(format!("https://{}", upstream_port.addr))
            .tls(ClientTls::builder().ca(ca.believed()))
            .build()
            .expect("an upstream");

        let gateway = Gateway::builder().open_to_any_agent().build();
        let agents = listener().await;
        let agent = Agent::builder(format!("https://{}", address(&agents)))
            .group(GROUP)
            .ca(ca.believed())
            .client_certificate(ca.client("agent").identity())
            .build()
            .expect("an agent");
        let tls = server("127.0.0.1").require_client_certificates([ca.believed()]);
        let serve = gateway
            .serve_agents(agents)
            .tls(tls.build().expect("certificates"));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve.into_future());
        let serve = agent.serve(upstream);
        tasks.spawn(async move { serve.await.expect("the agent is not refused") });
        agent.connected().await;

        let tls = server("out.test").build().expect("certificates");
        let rules = vec![Rule::group("all", group(GROUP))];
        let app = Router::new().fallback_service(stack(&gateway, rules));
        Self {
            port: Port::open(Entry::new().tls(tls), app).await,
            _upstream: upstream_port,
            _tasks: tasks,
            ca,
        }
    }
}

#[tokio::test]
async fn bodies_of_any_size_by_either_http() {
    within_limit(async {
        let through = Through::new().await;
        for (alpn, version) in [("http/1.1", Version::HTTP_11), ("h2", Version::HTTP_2)] {
            let client = TlsClient::new(&through.ca).offering(&[alpn]);
            let stream = client.connect(through.port.addr, "out.test").await;
            let mut client = HttpsClient::on(stream.expect("a handshake")).await.expect("HTTP");
            for size in [0, 1, 16_384, 3_000_000] {
                let body: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
                let request = http::Request::post("https://out.test/echo").header("host", "out.test");
                let request = request.body(body.clone().into()).expect("a request");
                let response = client.send(request).await.expect("an answer");
                assert_eq!((response.status().as_u16(), response.version()), (200, version));
                let echoed = response
                    .into_body()
                    .collect()
                    .await
                    .expect("a whole body")
                    .to_bytes();
                assert!(echoed == body, "{size}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_websocket() {
    within_limit(async {
        let through = Through::new().await;
        let stream = TlsClient::new(&through.ca)
            .connect(through.port.addr, "out.test")
            .await;
        let (mut socket, answer) = client_async("wss://out.test/talk", stream.expect("a handshake"))
            .await
            .expect("a WebSocket");
        assert_eq!(answer.status().as_u16(), 101);
        for text in ["a", &"b".repeat(200_000), "c"] {
            socket.send(Message::text(text)).await.expect("it is there");
            let back = socket.next().await.expect("it is there").expect("a frame");
            assert!(back == Message::text(text));
        }
        socket.close(None).await.expect("it is there");
        while let Some(Ok(frame)) = socket.next().await {
            assert!(matches!(frame, Message::Close(_)));
        }
    })
    .await;
}
