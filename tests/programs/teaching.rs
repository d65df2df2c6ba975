//! The programs that teach.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _, stream};
use tonic::transport::Endpoint;
use tunnel_examples::{
    client::{
        tungstenite::{Message, protocol::frame::coding::CloseCode},
        websocket,
    },
    greeter::{GreetEachRequest, GreeterClient},
};
use tunnel_tests::wait::within_limit;

use crate::{
    program::{Running, output, program},
    world::{RunningGateway, get},
};

/// Every port is one that the system chooses.
const PORTS: [&str; 4] = ["--listen", "127.0.0.1:0", "--agents-listen", "127.0.0.1:0"];

#[tokio::test]
async fn the_quickstart_shows_requests_calls_and_sockets_of_every_kind() {
    let [a, b, c, d] = PORTS;
    let ended = within_limit(output("quickstart", &["--once", a, b, c, d])).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stderr, "", "{ended:?}");
    for (request, status) in [
        ("GET /app/hello", "200"),
        ("POST /app/echo", "200"),
        ("GET /app/bytes/67108864", "200"),
        ("GET /app/events", "200"),
        ("1000 x GET /app/hello", "200"),
        ("gRPC Greet", "OK"),
        ("gRPC GreetOften", "OK"),
        ("gRPC GreetAll", "OK"),
        ("gRPC GreetEach", "OK"),
        ("WebSocket /app/socket", "101"),
        ("1000 x a small message", "101"),
        ("a message of 1 MiB", "101"),
        ("a close", "101"),
        ("GET /robots.txt", "200"),
        ("GET /nowhere", "404"),
    ] {
        let line = format!("\n{request:<26} {status:>6} ");
        assert!(ended.stdout.contains(&line), "{request}\n{}", ended.stdout);
    }
}

#[tokio::test]
async fn two_people_talk_in_a_chat_room_without_a_port() {
    let [a, b, c, d] = PORTS;
    let ended = within_limit(output("chat", &["--once", a, b, c, d])).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stderr, "", "{ended:?}");
    for step in [
        "\nGrace  is in the room, and both see both\n",
        "\nAda    said 100 things, ",
        "\nGrace  said too much: 1009, a message has at most 4 KiB\n",
        "\nAda    sees that she is alone\n",
        "\nAda    closed with 1000, and that came back\n",
    ] {
        assert!(ended.stdout.contains(step), "{step}\n{}", ended.stdout);
    }
}

#[tokio::test]
async fn a_fleet_changes_under_load_and_loses_nothing() {
    let ended = within_limit(output("fleet", &[])).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let line = |step: &str| {
        let mut lines = ended.stdout.lines();
        let found = lines.find_map(|line| line.strip_prefix(step));
        found.unwrap_or_else(|| panic!("{step}\n{}", ended.stdout)).trim()
    };
    for step in ["all share", "agent-1 is resumed", "a gateway is new"] {
        for agent in ["agent-1", "agent-2", "agent-3"] {
            assert!(line(step).contains(agent), "{step} {agent}\n{}", ended.stdout);
        }
    }
    assert!(
        !line("agent-1 is drained").contains("agent-1"),
        "{}",
        ended.stdout
    );
    assert!(line("lost").starts_with("0 of "), "{ended:?}");
}

#[tokio::test]
async fn a_proxy_without_a_tunnel_weighs_checks_and_drains() {
    let ended = within_limit(output("reverse_proxy", &["--once", PORTS[0], PORTS[1]])).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let expected = "\
weights 3 and 1  200 one: 30, 200 two: 10
another rule     200 spare: 40
two is ill       200 one: 40
one is drained   200 two: 40
all are back     200 one: 30, 200 two: 10
";
    assert_eq!(ended.stdout, expected, "{ended:?}");
}

#[tokio::test]
async fn a_chat_room_that_stops_closes_its_sockets() {
    let room = RunningGateway::start("chat", &PORTS).await;
    within_limit(async {
        let mut socket = websocket(room.listen, "/ws").await.unwrap();
        room.program.signal("TERM");
        let message = socket.next().await.unwrap().unwrap();
        let Message::Close(Some(frame)) = &message else {
            panic!("{message:?}");
        };
        assert_eq!(frame.code, CloseCode::Away);
        drop(socket);
        let ended = room.program.ended().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
    })
    .await;
}

#[tokio::test]
async fn an_axum_app_without_a_port() {
    let gateway = RunningGateway::start("custom_gateway", &PORTS).await;
    let _app = app("axum_app", &gateway);
    within_limit(async {
        assert_eq!(get(gateway.listen, "/healthz").await, (200, "ok\n".to_owned()));
        let expected = (200, "hello world, you come from 127.0.0.1\n".to_owned());
        until(|| get(gateway.listen, "/hello/world"), expected).await;

        // The gateway's stack stands in an axum router, as its fallback.
        let mut socket = websocket(gateway.listen, "/echo").await.unwrap();
        for sent in [Message::text("hello"), Message::binary(vec![7; 100_000])] {
            socket.send(sent.clone()).await.unwrap();
            assert_eq!(socket.next().await.unwrap().unwrap(), sent);
        }
        socket.close(None).await.unwrap();
        assert!(socket.next().await.unwrap().unwrap().is_close());
    })
    .await;
}

#[tokio::test]
async fn a_tonic_service_without_a_port_is_called_from_inside_and_outside() {
    let gateway = RunningGateway::start("typed_client", &PORTS).await;
    within_limit(async {
        let nobody = (502, "Unavailable: no healthy agent\n".to_owned());
        assert_eq!(get(gateway.listen, "/greet/Ada").await, nobody);
        let _app = app("tonic_app", &gateway);
        let expected = (200, "hello Ada\n".to_owned());
        until(|| get(gateway.listen, "/greet/Ada"), expected).await;

        let channel = Endpoint::from_shared(format!("http://{}", gateway.listen)).unwrap();
        let mut client = GreeterClient::new(channel.connect().await.unwrap());
        let names = stream::iter(["Ada", "Grace"].map(|name| GreetEachRequest {
            name: name.to_owned(),
        }));
        let answers = client.greet_each(names).await.unwrap().into_inner();
        let greetings: Vec<_> = answers.map(|answer| answer.unwrap().greeting).collect().await;
        assert_eq!(greetings, ["hello Ada", "hello Grace"]);
    })
    .await;
}

#[tokio::test]
async fn an_agent_calls_what_its_gateway_reaches() {
    let gateway = RunningGateway::start("typed_client", &PORTS).await;
    within_limit(async {
        let url = format!("http://{}", gateway.agents);
        let arguments = ["--gateway", &*url, "--listen", "127.0.0.1:0"];
        let mut desk = Running::start(program("agent_client", &arguments));
        let ready = desk.line("ready agent=desk-1 listen=").await;
        let local: SocketAddr = ready.parse().expect("an address");
        let nobody = (502, "Unavailable: no healthy agent\n".to_owned());
        until(|| get(gateway.listen, "/ask/Ada"), nobody).await;
        let _app = app("tonic_app", &gateway);
        let expected = (200, "hello Ada\n".to_owned());
        until(|| get(gateway.listen, "/ask/Ada"), expected).await;

        let channel = Endpoint::from_shared(format!("http://{local}")).unwrap();
        let mut client = GreeterClient::new(channel.connect().await.unwrap());
        let names = stream::iter(["Ada", "Grace"].map(|name| GreetEachRequest {
            name: name.to_owned(),
        }));
        let answers = client.greet_each(names).await.unwrap().into_inner();
        let greetings: Vec<_> = answers.map(|answer| answer.unwrap().greeting).collect().await;
        assert_eq!(greetings, ["hello Ada", "hello Grace"]);
        assert_eq!(
            get(local, "/ask/Ada").await.0,
            404,
            "the rules for agents say nothing of this"
        );
    })
    .await;
}

#[tokio::test]
async fn a_layer_of_ones_own() {
    let gateway = RunningGateway::start("custom_layer", &PORTS).await;
    within_limit(async {
        let expected = (200, "that took a while\n".to_owned());
        until(|| get(gateway.listen, "/slow"), expected).await;
    })
    .await;
}

/// An app with an agent, which says nothing when it is connected.
fn app(name: &str, gateway: &RunningGateway) -> Running {
    let mut command = program(name, &[]);
    command.env("TUNNEL_GATEWAY", format!("http://{}", gateway.agents));
    Running::start(command)
}

/// Asks until this is the answer: the agent may not be connected yet.
async fn until<F: Future<Output = (u16, String)>>(ask: impl Fn() -> F, expected: (u16, String)) {
    while ask().await != expected {
        tokio::task::yield_now().await;
    }
}
