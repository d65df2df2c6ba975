//! What goes through the gateway and the agent of operators.

use axum::{
    Router,
    extract::ws::WebSocketUpgrade,
    routing::{any, get as on_get},
};
use futures_util::{SinkExt as _, StreamExt as _, stream};
use tonic::transport::{Endpoint, Server, server::TcpIncoming};
use tunnel_examples::{
    client::{tungstenite::Message, websocket},
    greeter::{GreetRequest, GreeterClient, GreeterServer, Hello},
};
use tunnel_tests::{
    origin::Origin,
    tunnel::{address, listener},
    wait::within_limit,
};

use crate::{
    program::{Running, program},
    world::{Files, Pair, RunningGateway, TO_WEB, agent_file, gateway_file, get},
};

#[tokio::test]
async fn requests_go_where_the_rules_say() {
    let rules = "  - id: robots
    path: {exact: /robots.txt}
    respond: {status: 200, body: nothing}
  - id: api
    path: /api
    group: web
    rewrite: {strip_prefix: true}
";
    let app = Router::new().route("/users", on_get(|| async { "users" }));
    let origin = Origin::http1(app).await;
    let pair = Pair::start(rules, &format!("{{url: \"{}\"}}", origin.uri())).await;
    within_limit(async {
        let gateway = pair.gateway.listen;
        assert_eq!(get(gateway, "/api/users").await, (200, "users".to_owned()));
        assert_eq!(get(gateway, "/api/nobody").await.0, 404);
        assert_eq!(get(gateway, "/robots.txt").await, (200, "nothing".to_owned()));
        let (status, text) = get(gateway, "/nowhere").await;
        assert_eq!(status, 404);
        assert!(text.contains("no matching rule"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn calls_of_grpc_go_to_the_service_that_they_ask_for() {
    let rules =
        "  - id: greeter\n    grpc: {service: greeter.v1.Greeter, methods: [Greet]}\n    group: web\n";
    let listener = listener().await;
    let upstream = format!("{{url: \"http://{}\", protocol: h2c}}", address(&listener));
    let server = Server::builder()
        .add_service(GreeterServer::new(Hello))
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);
    let pair = Pair::start(rules, &upstream).await;
    within_limit(async {
        let gateway = format!("http://{}", pair.gateway.listen);
        let channel = Endpoint::from_shared(gateway).unwrap().connect().await.unwrap();
        let mut client = GreeterClient::new(channel);
        let greet = |name: &str| GreetRequest {
            name: name.to_owned(),
        };
        let answer = client.greet(greet("Ada")).await.unwrap();
        assert_eq!(answer.into_inner().greeting, "hello Ada");
        let status = client.greet(greet("")).await.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (tonic::Code::InvalidArgument, "whom?")
        );
        let status = client.greet_all(stream::empty()).await.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (tonic::Code::NotFound, "no matching rule")
        );
    })
    .await;
}

#[tokio::test]
async fn handshakes_of_websocket_go_where_their_rule_says() {
    let rules = "  - id: sockets
    path: /chat
    protocol: websocket
    group: web
    rewrite: {strip_prefix: true}
websocket: {idle_timeout: 5m, ping_interval: 30s}
";
    let greet = |upgrade: WebSocketUpgrade| async {
        upgrade.on_upgrade(|mut socket| async move {
            let name = socket.recv().await.expect("a name").expect("a message");
            let greeting = format!("hello {}", name.to_text().expect("a text"));
            let _ = socket.send(greeting.into()).await;
        })
    };
    let app = Router::new().route("/room", any(greet));
    let listener = listener().await;
    let upstream = format!("{{url: \"http://{}\"}}", address(&listener));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let pair = Pair::start(rules, &upstream).await;
    within_limit(async {
        let gateway = pair.gateway.listen;
        let mut socket = websocket(gateway, "/chat/room").await.unwrap();
        socket.send(Message::text("Ada")).await.unwrap();
        let greeting = socket.next().await.unwrap().unwrap();
        assert_eq!(greeting, Message::text("hello Ada"));
        assert_eq!(get(gateway, "/chat/room").await.0, 404, "no handshake");
    })
    .await;
}

#[tokio::test]
async fn an_agent_with_a_wrong_token_ends() {
    let files = Files::new();
    let file = files.write("gateway.yaml", &gateway_file(TO_WEB));
    let gateway = RunningGateway::start("gateway", &["--config", &file]).await;
    let file = files.write(
        "agent.yaml",
        &agent_file(gateway.agents, "{url: http://127.0.0.1:3000}"),
    );
    let mut command = program("agent", &["--config", &file]);
    command.env("TUNNEL_TOKEN", "not-the-token-that-it-knows");
    let ended = within_limit(Running::start(command).ended()).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(ended.stdout, "", "{ended:?}");
    let last = ended.stderr.lines().last().unwrap();
    assert!(last.starts_with("agent: ") && last.contains("token"), "{ended:?}");
    assert!(!ended.stderr.contains("not-the-token-that-it-knows"), "{ended:?}");
}
