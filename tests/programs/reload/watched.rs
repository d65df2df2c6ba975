//! How changes are noticed, and what they leave alone.

use std::{net::SocketAddr, os::unix::fs::symlink};

use axum::{Router, body::Body, routing::post};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::stream::poll_fn;
use http::Request;
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;
use tunnel_examples::client::websocket;
use tunnel_tests::{
    client::{Client, Version},
    origin::Origin,
    wait::within_limit,
};

use super::{CHANGED, OFTEN, World, agent_of, echoes};
use crate::world::{Files, RunningGateway, gateway_file, get};

const OLD: &str = "  - {id: old, path: /old, respond: {status: 200, body: old}}\n  - {id: web, group: web}\n";
const NEW: &str = "  - {id: new, path: /new, respond: {status: 200, body: new}}\n  - {id: web, group: web}\n";

fn text(text: &str) -> (u16, String) {
    (200, text.to_owned())
}

#[tokio::test]
async fn a_websocket_goes_on_while_an_editor_saves_other_rules() {
    let mut world = World::new(OLD).await;
    within_limit(async {
        let listen = world.gateway.listen;
        let mut socket = websocket(listen, "/socket").await.unwrap();
        assert!(echoes(&mut socket, "before").await);
        assert_eq!(get(listen, "/old").await, text("old"));
        assert_eq!(get(listen, "/new").await, text("one"));

        world.edit(NEW);
        world.gateway.program.logged(CHANGED, 1).await;
        assert_eq!(get(listen, "/old").await, text("one"));
        assert_eq!(get(listen, "/new").await, text("new"));
        assert!(echoes(&mut socket, "after").await);

        // And back, without the rule that the socket came by.
        world.edit(OLD.trim_end_matches("  - {id: web, group: web}\n"));
        world.gateway.program.logged(CHANGED, 2).await;
        assert_eq!(get(listen, "/socket").await.0, 404);
        assert!(echoes(&mut socket, "still").await);
        let log = world.gateway.program.log();
        assert!(log.contains("-rules[old] +rules[new]"), "{log}");
    })
    .await;
}

#[tokio::test]
async fn a_request_and_its_response_stream_on_across_a_change() {
    let app = Router::new().route("/echo", post(|body: Body| async { body }));
    let origin = Origin::http1(app).await;
    let files = Files::new();
    let file = files.write("gateway.yaml", &(gateway_file(OLD) + OFTEN));
    within_limit(async {
        let mut gateway = RunningGateway::start("gateway", &["--config", &file]).await;
        let _agent = agent_of(&files, &gateway, &origin).await;
        let (sender, mut pieces) = mpsc::channel::<Result<&str, std::io::Error>>(1);
        let pieces = poll_fn(move |cx| pieces.poll_recv(cx));
        let mut client = Client::connect(Version::Http2, gateway.listen).await;
        let request = Request::post("/echo").body(Body::from_stream(pieces));
        sender.send(Ok("one ")).await.unwrap();
        let mut answer = client.send(request.unwrap()).await.unwrap().into_body();
        let piece = answer.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(piece, "one ");

        super::replace(&files, "gateway.yaml", &(gateway_file(NEW) + OFTEN));
        gateway.program.logged(CHANGED, 1).await;
        sender.send(Ok("two")).await.unwrap();
        drop(sender);
        assert_eq!(answer.collect().await.unwrap().to_bytes(), "two");
        // The client's next request on the same connection is one of the new rules.
        assert_eq!(
            client.get("/new").await.collect().await.unwrap().to_bytes(),
            "new"
        );
    })
    .await;
}

#[tokio::test]
async fn a_directory_that_is_swapped_behind_a_link_is_noticed() {
    let files = Files::new();
    for (directory, rules) in [("first", OLD), ("second", NEW)] {
        std::fs::create_dir_all(files.path(directory)).unwrap();
        files.write(
            &format!("{directory}/gateway.yaml"),
            &(gateway_file(rules) + OFTEN),
        );
    }
    // As Kubernetes mounts a ConfigMap: gateway.yaml -> ..data/gateway.yaml, and ..data -> a directory.
    symlink("first", files.path("..data")).unwrap();
    symlink("..data/gateway.yaml", files.path("gateway.yaml")).unwrap();
    within_limit(async {
        let mut gateway = RunningGateway::start("gateway", &["--config", &files.path("gateway.yaml")]).await;
        assert_eq!(get(gateway.listen, "/old").await, text("old"));
        symlink("second", files.path("..data_tmp")).unwrap();
        std::fs::rename(files.path("..data_tmp"), files.path("..data")).unwrap();
        gateway.program.logged(CHANGED, 1).await;
        assert_eq!(get(gateway.listen, "/new").await, text("new"));
    })
    .await;
}

#[tokio::test]
async fn a_signal_asks_for_a_look_where_nobody_watches() {
    let files = Files::new();
    let text_of = |rules| gateway_file(rules) + "reload: {interval: off}\n";
    let file = files.write("gateway.yaml", &text_of(OLD));
    within_limit(async {
        let mut gateway = RunningGateway::start("gateway", &["--config", &file]).await;
        gateway.program.signal("HUP");
        gateway.program.logged("the configuration is as it was", 1).await;
        files.write("gateway.yaml", &text_of(NEW));
        gateway.program.signal("HUP");
        gateway.program.logged(CHANGED, 1).await;
        assert_eq!(get(gateway.listen, "/new").await, text("new"));
        gateway.program.signal("TERM");
        assert_eq!(gateway.program.ended().await.code, Some(0));
    })
    .await;
}

/// What a request of this user gets.
async fn status(gateway: SocketAddr, user: &str) -> u16 {
    let credentials = STANDARD.encode(format!("{user}:correct horse"));
    let request = Request::get("/web").header("authorization", format!("Basic {credentials}"));
    let mut client = Client::connect(Version::Http1, gateway).await;
    let answer = client.send(request.body(Body::empty()).unwrap()).await.unwrap();
    answer.status().as_u16()
}

#[tokio::test]
async fn a_file_of_users_that_changes_counts_at_once() {
    let files = Files::new();
    // The password `correct horse` of alice, and of bob.
    let hash = "$2y$04$Sp/Mi6usANC067kwOk13jep5hVHr7JtE4L9AHOSnIUQi/.WDNeZXO";
    files.write("users", &format!("alice:{hash}\n"));
    let auth = "auth: {default: people, providers: {people: {basic: {htpasswd: users}}}}\n";
    let rules = "  - {id: all, respond: {status: 200, body: in}}\n  - {id: web, path: /web, group: web}\n";
    let file = files.write("gateway.yaml", &[&gateway_file(rules), auth, OFTEN].concat());
    within_limit(async {
        let mut gateway = RunningGateway::start("gateway", &["--config", &file]).await;
        let listen = gateway.listen;
        // 503: let in, and no agent is there.
        assert_eq!(
            (status(listen, "alice").await, status(listen, "bob").await),
            (503, 401)
        );
        super::replace(&files, "users", &format!("bob:{hash}\n"));
        gateway.program.logged("changes=files that it names", 1).await;
        assert_eq!(
            (status(listen, "alice").await, status(listen, "bob").await),
            (401, 503)
        );
    })
    .await;
}
